using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Numerics;
using System.Runtime.InteropServices;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Driver.Load;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Host.Commands;

/// <summary><c>ringmaster drive</c>: plays the guest against any vhost-user-net back-end and measures.</summary>
internal sealed class DriveCommand
{
    private const int MaxPairs = 128;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

    private readonly Option<string> _socket = new("--socket")
    {
        Description = "The back-end's socket.",
        HelpName = "PATH",
        Required = true,
    };

    private readonly Option<int> _pairs = Number("--pairs", 1, 1, MaxPairs, "Queue pairs to use.");
    private readonly Option<int> _queueSize = Number("--queue-size", 256, 2, 32768, "Descriptors in each ring; a power of two.");

    private readonly Option<int> _frameSize = Number(
        "--frame-size", LoadOptions.MinFrameSize, LoadOptions.MinFrameSize, LoadOptions.MaxFrameSize, "Bytes of a frame.");

    private readonly Option<int> _window = Number("--window", 32, 1, 32768, "Echo: frames under way at a time, for each pair.");

    private readonly Option<double> _seconds = new("--seconds")
    {
        Description = "How long to measure.",
        HelpName = "S",
        DefaultValueFactory = _ => 5,
    };

    private readonly Option<LoadMode> _mode = new("--mode")
    {
        Description = "tx: the guest sends; rx: it receives what others send; echo: it sends and times the return. Default: tx.",
        HelpName = "tx|rx|echo",
        CustomParser = ParseMode,
    };

    private readonly Option<IPAddress?> _to = Address(
        "--to", "Echo: ping this IPv4 address; without it, something behind the back-end must turn frames round.");

    private readonly Option<IPAddress?> _from = Address("--from", "Echo: the guest's own IPv4 address; goes with --to.");
    private readonly Option<double> _warmUp = new("--warm-up")
    {
        Description = "How long to do the same before, unmeasured.",
        HelpName = "S",
    };

    private readonly Option<int> _flows = Number("--flows", 16, 1, 1024, "tx: flows that the frames belong to, in turn.");
    private readonly Option<bool> _gso = new("--gso") { Description = "tx, --inject: the frames are unsegmented TCP, not UDP." };
    private readonly Option<string?> _inject = new("--inject")
    {
        Description = "rx: send into this interface, in this network namespace, what is to be received.",
        HelpName = "INTERFACE",
    };

    private readonly Option<bool> _packed = new("--packed") { Description = "Use packed rings where the back-end offers them." };
    private readonly Option<bool> _inOrder = new("--in-order") { Description = "Take IN_ORDER where the back-end offers it." };
    private readonly Option<bool> _poll = new("--poll") { Description = "Look for work all the time; never sleep." };
    private readonly Option<bool> _json = new("--json") { Description = "Print the result as JSON." };

    private DriveCommand()
    {
        _queueSize.Validators.Add(result =>
            Demand(result, BitOperations.IsPow2(result.GetValueOrDefault<int>()), "a power of two"));
        _seconds.Validators.Add(result =>
            Demand(result, result.GetValueOrDefault<double>() is > 0 and <= 86400, "more than 0, up to 86400"));
        _warmUp.Validators.Add(result =>
            Demand(result, result.GetValueOrDefault<double>() is >= 0 and <= 86400, "0 to 86400"));
    }

    internal static Command Create()
    {
        var drive = new DriveCommand();
        var command = new Command("drive", "Play the guest against any vhost-user-net back-end; show rate, loss and round trips.")
        {
            drive._socket, drive._pairs, drive._queueSize, drive._frameSize, drive._seconds, drive._mode, drive._window,
            drive._to, drive._from, drive._warmUp, drive._flows, drive._gso, drive._inject, drive._packed, drive._inOrder,
            drive._poll, drive._json,
        };
        command.Validators.Add(drive.Validate);
        command.SetAction(drive.Run);
        return command;
    }

    private void Validate(CommandResult result)
    {
        if ((result.GetValue(_to) is null) != (result.GetValue(_from) is null))
        {
            result.AddError("--to and --from go together");
        }

        // As text: a value that is none has been refused already, and cannot be asked for.
        string mode = result.GetResult(_mode)?.Tokens.Select(token => token.Value).FirstOrDefault() ?? "tx";
        if (result.GetValue(_inject) is not null && mode != "rx")
        {
            result.AddError("--inject goes with --mode rx");
        }

        if (result.GetValue(_gso) && mode == "echo")
        {
            result.AddError("--gso goes with --mode tx and rx");
        }
    }

    private int Run(ParseResult parsed)
    {
        using var interrupted = new CancellationTokenSource();
        void Stop(PosixSignalContext signal)
        {
            signal.Cancel = true;
            interrupted.Cancel();
        }

        using PosixSignalRegistration onInterrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using PosixSignalRegistration onTerminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        try
        {
            string path = parsed.GetRequiredValue(_socket);
            using VirtioNetDriver driver = VirtioNetDriver.Start(FrontendClient.Connect(path, Patience), DriverOptions(parsed));
            LoadResult result = LoadGenerator.Run(driver, Load(parsed), interrupted.Token);
            Console.Out.WriteLine(parsed.GetValue(_json) ? DriveReport.Json(driver, result) : DriveReport.Text(driver, result));
            return ExitCode.Success;
        }
        catch (Exception failure) when (failure is LinuxException or FrontendException or RingViolationException)
        {
            Console.Error.WriteLine($"ringmaster: {failure.Message}");
            return ExitCode.Failure;
        }
    }

    private VirtioNetOptions DriverOptions(ParseResult parsed)
    {
        VirtioFeatures features = VirtioNetOptions.ModernFeatures
            | (parsed.GetValue(_packed) ? VirtioFeatures.RingPacked : VirtioFeatures.None)
            | (parsed.GetValue(_inOrder) ? VirtioFeatures.InOrder : VirtioFeatures.None);
        return new VirtioNetOptions
        {
            Pairs = parsed.GetValue(_pairs),
            QueueSize = parsed.GetValue(_queueSize),
            Features = features,
            ExpectedFrame = parsed.GetValue(_frameSize),
            TransmitBufferSize = parsed.GetValue(_frameSize) + VirtioNetHeader.Size,
            Polling = parsed.GetValue(_poll),
        };
    }

    private LoadOptions Load(ParseResult parsed) => new()
    {
        Mode = parsed.GetValue(_mode),
        FrameSize = parsed.GetValue(_frameSize),
        Duration = TimeSpan.FromSeconds(parsed.GetValue(_seconds)),
        WarmUp = TimeSpan.FromSeconds(parsed.GetValue(_warmUp)),
        Window = parsed.GetValue(_window),
        Flows = parsed.GetValue(_flows),
        Gso = parsed.GetValue(_gso),
        Inject = parsed.GetValue(_inject),
        Polling = parsed.GetValue(_poll),
        Target = parsed.GetValue(_to),
        Source = parsed.GetValue(_from),
    };

    private static Option<int> Number(string name, int standard, int least, int most, string description)
    {
        var option = new Option<int>(name)
        {
            Description = string.Create(CultureInfo.InvariantCulture, $"{description} {least} to {most}."),
            HelpName = "N",
            DefaultValueFactory = _ => standard,
        };
        string allowed = string.Create(CultureInfo.InvariantCulture, $"{least} to {most}");
        option.Validators.Add(result =>
        {
            int value = result.GetValueOrDefault<int>();
            Demand(result, value >= least && value <= most, allowed);
        });
        return option;
    }

    private static void Demand(OptionResult result, bool condition, string allowed)
    {
        if (!condition)
        {
            result.AddError($"{result.Option.Name} {string.Join(' ', result.Tokens)}: allowed is {allowed}");
        }
    }

    private static Option<IPAddress?> Address(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "IPV4",
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (IPAddress.TryParse(text, out IPAddress? address) && address.AddressFamily == AddressFamily.InterNetwork)
            {
                return address;
            }

            result.AddError($"{name} {text}: allowed is an IPv4 address");
            return null;
        },
    };

    private static LoadMode ParseMode(ArgumentResult result)
    {
        switch (result.Tokens[0].Value)
        {
            case "tx":
                return LoadMode.Tx;
            case "rx":
                return LoadMode.Rx;
            case "echo":
                return LoadMode.Echo;
            default:
                result.AddError($"--mode {result.Tokens[0].Value}: allowed is tx, rx or echo");
                return default;
        }
    }
}
