using System.Diagnostics;
using System.Globalization;
using Ringmaster.Native.Driver;

namespace Ringmaster.Bench.Scaling;

/// <summary>The executable under measurement, serving so many devices. Disposing ends it.</summary>
internal sealed class Backend : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("ringmaster-scaling-");
    private readonly CountdownEvent _missing;
    private readonly Process _process;
    private string? _lastLine = "without a word";
    private string? _failed;

    private Backend(string executable, QuietNetwork network, Size size)
    {
        Size = size;
        _missing = new CountdownEvent(size.Devices);
        string configuration = Path.Combine(_folder.FullName, "devices.conf");
        File.WriteAllText(configuration, Configuration(size));
        long start = Stopwatch.GetTimestamp();
        var command = new ProcessStartInfo(executable, ["run", "--config", configuration]) { RedirectStandardError = true };
        _process = network.Start(command);
        _process.ErrorDataReceived += (_, received) => OnLine(received.Data);
        _process.BeginErrorReadLine();
        _missing.Wait();
        if (_failed is not null)
        {
            throw new InvalidOperationException($"the back-end ended: {_failed}");
        }

        Start = Stopwatch.GetElapsedTime(start);
        AtStart = ProcessUse.Of(_process.Id);
    }

    internal Size Size { get; }

    /// <summary>From the start of the executable until front-ends could connect to the last device.</summary>
    internal TimeSpan Start { get; }

    /// <summary>What it had used by then.</summary>
    internal ProcessUse AtStart { get; }

    /// <summary>Starts the executable and waits until all devices are up.</summary>
    internal static Backend Run(string executable, QuietNetwork network, Size size) => new(executable, network, size);

    /// <summary>What it holds and has used at this moment.</summary>
    internal ProcessUse Use() => ProcessUse.Of(_process.Id);

    /// <summary>The CPU time of one worker so far.</summary>
    internal TimeSpan WorkerTime(int device, int pair) => ProcessUse.ThreadTime(_process.Id, $"net{device}/pair-{pair}");

    /// <summary>A connection to a device.</summary>
    internal FrontendClient Connect(int device) => FrontendClient.Connect(SocketOf(device), Patience);

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
        _missing.Dispose();
        _folder.Delete(recursive: true);
    }

    private string SocketOf(int device) =>
        Path.Combine(_folder.FullName, string.Create(CultureInfo.InvariantCulture, $"net{device}.sock"));

    private string Configuration(Size size) => $$"""
        ringmaster.device-defaults {
          socket = "{{_folder.FullName}}/{device}.sock"
          queue-pairs = {{size.Pairs}}
        }
        ringmaster.devices {
          {{string.Join("\n  ", Enumerable.Range(0, size.Devices).Select(device => $"net{device} {{ }}"))}}
        }
        """;

    /// <summary>A line of the log; null when the process has ended.</summary>
    private void OnLine(string? line)
    {
        if (_missing.IsSet)
        {
            return;
        }

        if (line is null)
        {
            _failed = _lastLine;
            _missing.Signal(_missing.CurrentCount);
        }
        else if (line.Contains(": up,", StringComparison.Ordinal))
        {
            _missing.Signal();
        }

        _lastLine = line;
    }
}
