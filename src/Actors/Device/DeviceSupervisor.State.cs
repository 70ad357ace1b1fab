using Akka.Actor;
using Akka.Event;
using Ringmaster.Actors.Protocol;

namespace Ringmaster.Actors.Device;

/// <content>Saving and loading of what the device holds.</content>
public sealed partial class DeviceSupervisor
{
    /// <summary>The message is dealt with when the transfer has ended, at the latest when its time is over.</summary>
    private void AwaitTransfer(PendingStep step)
    {
        Enter(DevicePhase.Serving, Preparing);
        _session!.Transfer!.Outcome.WaitAsync(StateTransfer.Limit).PipeTo(
            Self,
            success: outcome => new TransferEnded(step, outcome),
            failure: e => new TransferEnded(step, new TransferOutcome(null, e.GetBaseException().Message)));
    }

    private void OnTransferEnded(TransferEnded message)
    {
        PendingStep step = message.Step;
        if (message.Outcome.Failure is { } reason)
        {
            Refuse(VhostUserSession.Refuse(_session!.State, step.Message, reason));
            return;
        }

        if (message.Outcome.Loaded is { } loaded)
        {
            step.Loaded = loaded;
            step.Next = loaded.ApplyTo(step.Next);
        }

        Prepare(step);
    }

    /// <summary>A message was carried out: follows what it says of a transfer. One that begins does so after the reply.</summary>
    private void FollowTransfer(SessionState before, NetDeviceState? loaded)
    {
        FrontendSession session = _session!;
        if (!ReferenceEquals(before.Transfer, session.State.Transfer))
        {
            session.Transfer?.Cancel();
            session.Transfer = session.State.Transfer is { } asked
                ? new StateTransfer(asked, NetDeviceState.Of(session.State, LinkIsHeldDown, _pairs.Counted()))
                : null;
        }

        if (loaded is { } state)
        {
            _frontendLog.Info("device {Device}: loaded {State}", Name, state);
            session.LinkHeldDown = state.LinkHeldDown;
            if (state.Counters is { } counters)
            {
                _pairs.GoOnFrom(counters);
            }

            FollowLink();
        }
    }
}
