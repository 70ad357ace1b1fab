using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Linux;

namespace Ringmaster.Actors.Device;

/// <summary>
/// A transfer of the device's state under way. It blocks on a thread of its own, never on an actor's or the pool's, for
/// <see cref="Limit"/> at most; the channel is closed at its end, which tells the reader of a saved state that it has all.
/// </summary>
internal sealed class StateTransfer(DeviceStateTransfer asked, NetDeviceState current)
{
    /// <summary>How long it may take. A front-end is expected to read and write without delay, its guest stands still.</summary>
    internal static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    private readonly CancellationTokenSource _cancellation = new();
    private Task<TransferOutcome>? _outcome;

    /// <summary>How it ended. Only when started.</summary>
    internal Task<TransferOutcome> Outcome => _outcome ?? throw new InvalidOperationException("the transfer has not begun");

    /// <summary>Begins it, the first time.</summary>
    internal void Start() => _outcome ??= Task.Factory.StartNew(
        Run, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>Ends it early, or does nothing when it has ended.</summary>
    internal void Cancel() => _cancellation.Cancel();

    private TransferOutcome Run()
    {
        try
        {
            using (asked.Channel)
            {
                return asked.Saves ? Save() : Load();
            }
        }
        catch (Exception e) when (e is IOException or TimeoutException or OperationCanceledException or ObjectDisposedException)
        {
            return new TransferOutcome(null, e.Message);
        }
    }

    private TransferOutcome Save()
    {
        StateChannel.WriteAll(asked.Channel, current.ToBytes(), Limit, _cancellation.Token);
        return new TransferOutcome(null, null);
    }

    private TransferOutcome Load()
    {
        byte[] bytes = StateChannel.ReadToEnd(asked.Channel, DeviceStateFormat.MaxSize, Limit, _cancellation.Token);
        return NetDeviceState.TryRead(bytes, out NetDeviceState loaded) is { } reason
            ? new TransferOutcome(null, reason)
            : new TransferOutcome(loaded, null);
    }
}

/// <summary>How a transfer ended.</summary>
/// <param name="Loaded">What was loaded, or null.</param>
/// <param name="Failure">Why it failed, or null.</param>
internal sealed record TransferOutcome(NetDeviceState? Loaded, string? Failure);

/// <summary>The transfer that a message waits for has ended.</summary>
internal sealed record TransferEnded(PendingStep Step, TransferOutcome Outcome);
