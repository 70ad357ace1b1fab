using System.CommandLine;
using System.Runtime.InteropServices;
using Ringmaster.Actors;
using Ringmaster.Host.Demo;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Spectre.Console;

namespace Ringmaster.Host.Commands;

/// <summary><c>ringmaster demo</c>: shows a device at work, with a guest of its own, in some ten seconds.</summary>
internal static class DemoCommand
{
    internal static Command Create()
    {
        var verbose = new Option<bool>("--verbose") { Description = "Show the back-end's log as well." };
        var command = new Command(
            "demo",
            "Bring up a device and a guest in a network namespace of their own, move frames, let a worker fail, and judge.")
        {
            verbose,
        };
        command.SetAction(parsed => RunAsync(parsed.GetValue(verbose)));
        return command;
    }

    private static async Task<int> RunAsync(bool verbose)
    {
        using PrivateNetwork? network = DemoNamespace.Open(out string reason);
        if (network is null)
        {
            return Refuse(reason);
        }

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
            var view = new DemoView(AnsiConsole.Console, live: !Console.IsOutputRedirected);
            bool good = await new DemoRun(view, network, verbose).PlayAsync(interrupted.Token);
            return good ? ExitCode.Success : ExitCode.Failure;
        }
        catch (OperationCanceledException) when (interrupted.IsCancellationRequested)
        {
            return Refuse("the demo was interrupted");
        }
        catch (Exception failure) when (failure is BackendStartException or LinuxException or FrontendException)
        {
            return Refuse(failure.Message);
        }
    }

    private static int Refuse(string reason)
    {
        Console.Error.WriteLine($"ringmaster: {reason}");
        return ExitCode.Failure;
    }
}
