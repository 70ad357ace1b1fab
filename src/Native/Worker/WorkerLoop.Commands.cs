using System.Diagnostics;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Worker;

/// <content>The commands, carried out between two batches; each is answered before what it broke is reported.</content>
internal sealed partial class WorkerLoop
{
    private void RunCommands()
    {
        _mailbox.Acknowledge();
        while (!_exit && _mailbox.TryTake(out WorkerCommand? command))
        {
            Execute(command);
        }

        ReportMissing(_rx);
        ReportMissing(_tx);
    }

    private void Execute(WorkerCommand command)
    {
        switch (command)
        {
            case ReplaceMemory replace:
                Replace(replace.Memory);
                Done(command);
                GiveUpBroken();
                break;
            case SetLog set:
                SwitchLog(set.Log, set.Call);
                Done(command);
                GiveUpBroken();
                break;
            case SetInflight set:
                SwitchInflight(set.Region);
                Done(command);
                GiveUpBroken();
                break;
            case SetIotlb set:
                ChangeView(_view with { Iotlb = set.Iotlb });
                Done(command);
                GiveUpBroken();
                break;
            case StartRing start:
                Start(start);
                break;
            case UpdateRing update:
                Update(update);
                break;
            case StopRing stop:
                RingSlot slot = Slot(stop.Side);
                _report(new RingStopped(_plan.Generation, stop.Id, stop.Side, slot.Stop()));
                break;
            case SendFrame send:
                Send(send.Frame.Span);
                Done(command);
                break;
            case WatchFd watch:
                string? refusal = _watched.Add(watch);
                _report(refusal is null
                    ? new CommandDone(_plan.Generation, watch.Id)
                    : new CommandRefused(_plan.Generation, watch.Id, refusal));
                break;
            case UnwatchFd unwatch:
                _watched.Remove(unwatch.Fd);
                Done(command);
                break;
            case InjectFault fault:
                throw new InjectedFaultException(fault.Reason);
            case ExitWorker:
                _exit = true;
                break;
            default:
                throw new UnreachableException($"no rule for the command {command.GetType().Name}");
        }
    }

    private void Start(StartRing start)
    {
        RingSlot slot = Slot(start.Side);
        slot.Stop();
        string? problem = slot.Start(start.Plan, _view, _factory!);
        Done(start);
        if (problem is not null)
        {
            slot.SignalError();
            slot.Stop();
            _plan.Counters.Add(WorkerCounter.RingErrors, 1);
            _report(new RingBroken(_plan.Generation, start.Side, problem, start.Plan.Base));
        }
    }

    private void Update(UpdateRing update)
    {
        RingSlot slot = Slot(update.Side);
        string? problem = slot.Active ? slot.Update(update.Plan, _view) : null;
        Done(update);
        if (problem is not null)
        {
            GiveUp(slot, problem);
        }
    }

    private void Replace(GuestMemory memory)
    {
        memory.Retain();
        GuestMemory old = _view.Memory;
        ChangeView(_view with { Memory = memory });
        old.Release();
    }

    private void SwitchLog(DirtyLog? log, OwnedFd? call)
    {
        log?.Retain();
        DirtyLog? old = _view.Log;
        ChangeView(_view with { Log = log, LogCall = call });
        old?.Release();
    }

    private void SwitchInflight(InflightRegion? region)
    {
        region?.Retain();
        InflightRegion? old = _view.Inflight;
        ChangeView(_view with { Inflight = region });
        old?.Release();
    }

    /// <summary>
    /// Hands the rings what they see of the guest from now on. A ring that cannot go on with it keeps pointers to the old;
    /// it is broken and is not run again.
    /// </summary>
    private void ChangeView(GuestView view)
    {
        _view = view;
        foreach (RingSlot slot in (ReadOnlySpan<RingSlot>)[_rx, _tx])
        {
            if (slot.Active)
            {
                slot.ChangeView(view);
            }
        }
    }

    private void GiveUpBroken()
    {
        foreach (RingSlot slot in (ReadOnlySpan<RingSlot>)[_rx, _tx])
        {
            if ((slot.Pump?.Broken ?? slot.Problem) is string reason)
            {
                GiveUp(slot, reason);
            }
        }
    }

    /// <summary>Writes one frame of our own to the TAP, behind an empty virtio header.</summary>
    private unsafe void Send(ReadOnlySpan<byte> frame)
    {
        int headerSize = _plan.Tap.HeaderSize;
        byte[] buffer = new byte[headerSize + frame.Length];
        frame.CopyTo(buffer.AsSpan(headerSize));
        fixed (byte* first = buffer)
        {
            IoVec vector = new() { Base = first, Length = (nuint)buffer.Length };
            FrameIo io = new() { Vectors = &vector, Count = 1 };
            _io!.Write(&io, 1);
            _plan.Counters.Add(io.Result < 0 ? WorkerCounter.TxDropped : WorkerCounter.TxFrames, 1);
        }
    }

    private RingSlot Slot(RingSide side) => side == RingSide.Rx ? _rx : _tx;

    private void Done(WorkerCommand command) => _report(new CommandDone(_plan.Generation, command.Id));
}
