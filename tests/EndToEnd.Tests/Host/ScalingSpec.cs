using System.Diagnostics;
using System.Globalization;
using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Xunit.Abstractions;

namespace Ringmaster.EndToEnd.Tests.Host;

/// <summary>
/// What many devices cost: CPU time and memory by the kernel's accounts, since how long something takes depends on who else
/// uses the machine. bench/Scaling measures the same in full.
/// </summary>
public sealed class ScalingSpec(ITestOutputHelper output)
{
    private const int Many = 64;
    private const int Some = 16;
    private const int Pairs = 2;
    private const double MaxMiBPerPair = 0.6;
    private const double MaxIdle = 0.02;

    private static readonly TimeSpan MaxStart = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan MaxStartPerDevice = TimeSpan.FromMilliseconds(150);
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private static readonly VirtioNetOptions Guest =
        new() { Pairs = Pairs, QueueSize = 64, TransmitBufferSize = 2048, ReceiveBufferSize = 2048 };

    [SkippableFact]
    public async Task Sixty_four_devices_start_fast_idle_at_no_cost_and_take_little_memory()
    {
        Backends.SkipForDpdk("it is about Ringmaster's executable");
        await using HostFixture host = await HostFixture.CreateAsync();

        using Process one = await ServeAsync(host, 1);
        AssertStartedWithin(MaxStart, one);
        using Guests single = new(host, 1);
        double alone = ResidentMiB(one);
        one.Kill();
        await one.WaitForExitAsync();

        using Process many = await ServeAsync(host, Many);
        AssertStartedWithin(MaxStart + (Many * MaxStartPerDevice), many);
        using Guests all = new(host, Many);
        double idle = await QuietestAsync(many, seconds: 10, MaxIdle);
        double perPair = (ResidentMiB(many) - alone) / ((Many - 1) * Pairs);

        output.WriteLine($"one: {alone:F1} MiB; each further pair: {perPair:F3} MiB; {Many} idle: {idle:P3} of a core");
        Assert.InRange(idle, 0, MaxIdle);
        Assert.InRange(perPair, 0, MaxMiBPerPair);
    }

    [SkippableFact]
    public async Task Devices_come_back_at_once_after_the_process_was_killed()
    {
        Backends.SkipForDpdk("it is about Ringmaster's executable");
        await using HostFixture host = await HostFixture.CreateAsync();
        using (Process killed = await ServeAsync(host, Some))
        {
            killed.Kill();
            await killed.WaitForExitAsync();
        }

        using Process next = await ServeAsync(host, Some);
        using Guests all = new(host, Some);
    }

    private static string NameOf(int device) => string.Create(CultureInfo.InvariantCulture, $"net{device}");

    private static async Task<Process> ServeAsync(HostFixture host, int devices)
    {
        string file = host.PathOf("devices.conf");
        string names = string.Join('\n', Enumerable.Range(0, devices).Select(device => $"  {NameOf(device)} {{ }}"));
        await File.WriteAllTextAsync(file, $$"""
            ringmaster.device-defaults {
              queue-pairs = {{Pairs}}
              socket = "{{host.PathOf("{device}.sock")}}"
            }
            ringmaster.devices {
            {{names}}
            }
            """);
        ManagedProcess process = host.Start("--config", file);
        for (int device = 0; device < devices; device++)
        {
            await process.LineAsync($"device {NameOf(device)}: up", HostFixture.Limit);
        }

        return Process.GetProcessById(process.Id);
    }

    private static void AssertStartedWithin(TimeSpan limit, Process process) =>
        Assert.InRange(process.TotalProcessorTime, TimeSpan.Zero, limit);

    private static double ResidentMiB(Process process)
    {
        process.Refresh();
        return process.WorkingSet64 / (double)(1 << 20);
    }

    /// <summary>
    /// The share of a core that the process uses in its quietest second: what never sleeps is busy in all of them. One second
    /// that is quiet enough will do.
    /// </summary>
    private static async Task<double> QuietestAsync(Process process, int seconds, double enough)
    {
        using PeriodicTimer timer = new(Second);
        double quietest = double.MaxValue;
        for (int second = 0; second < seconds && quietest > enough; second++)
        {
            TimeSpan before = CpuOf(process);
            long start = Stopwatch.GetTimestamp();
            await timer.WaitForNextTickAsync();
            quietest = Math.Min(quietest, (CpuOf(process) - before) / Stopwatch.GetElapsedTime(start));
        }

        return quietest;
    }

    private static TimeSpan CpuOf(Process process)
    {
        process.Refresh();
        return process.TotalProcessorTime;
    }

    /// <summary>One connected guest for each device, all rings running.</summary>
    private sealed class Guests : IDisposable
    {
        private readonly List<VirtioNetDriver> _drivers = [];

        internal Guests(HostFixture host, int devices)
        {
            for (int device = 0; device < devices; device++)
            {
                string socket = host.PathOf($"{NameOf(device)}.sock");
                _drivers.Add(VirtioNetDriver.Start(FrontendClient.Connect(socket, HostFixture.Limit), Guest));
            }
        }

        public void Dispose() => _drivers.ForEach(driver => driver.Dispose());
    }
}
