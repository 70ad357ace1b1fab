using System.Runtime.InteropServices;
using System.Threading.Channels;

namespace Ringmaster.Host;

/// <summary>
/// The signals that the process acts on, in the order in which they came: SIGTERM, SIGINT and SIGQUIT to stop, SIGHUP to
/// read the configuration again, SIGUSR1 to say how all fares. While this lives none of them ends the process by itself.
/// </summary>
internal sealed class Signals : IDisposable
{
    /// <summary>By its number on x86-64 and arm64: the runtime has no name for it.</summary>
    internal const PosixSignal SIGUSR1 = (PosixSignal)10;

    private static readonly PosixSignal[] Handled =
        [PosixSignal.SIGTERM, PosixSignal.SIGINT, PosixSignal.SIGQUIT, PosixSignal.SIGHUP, SIGUSR1];

    private readonly Channel<PosixSignal> _received = Channel.CreateUnbounded<PosixSignal>();
    private readonly CancellationTokenSource _stop = new();
    private readonly PosixSignalRegistration[] _registrations;

    internal Signals() => _registrations = [.. Handled.Select(signal => PosixSignalRegistration.Create(signal, OnSignal))];

    /// <summary>Cancelled by the first signal to stop.</summary>
    internal CancellationToken Stop => _stop.Token;

    /// <summary>The next signal; waits for it.</summary>
    internal ValueTask<PosixSignal> NextAsync() => _received.Reader.ReadAsync();

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations)
        {
            registration.Dispose();
        }

        _stop.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        _received.Writer.TryWrite(context.Signal);
        if (context.Signal is not (PosixSignal.SIGHUP or SIGUSR1))
        {
            _stop.Cancel();
        }
    }
}
