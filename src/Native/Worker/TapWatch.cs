using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Worker;

/// <summary>
/// The TAP queue in the worker's epoll set, by edges; and only those that tell something new. The worker's thread only.
/// <list type="bullet">
/// <item>Readable: while frames wait that cannot be taken (the guest has no buffers, the ring is stopped), each further one is an
/// edge. After the first of them the worker does not listen any more until the queue has been read empty.</item>
/// <item>Writable: listened to only after a frame that would have blocked.</item>
/// </list>
/// Whatever is listened to again is reported at once where it is so already.
/// </summary>
internal sealed class TapWatch(Epoll epoll, TapReadiness tap)
{
    private const EpollEvents Failed = EpollEvents.Error | EpollEvents.HangUp;

    private FdLease? _fd;
    private EpollEvents _listened;
    private bool _inVain;

    /// <summary>Begins to listen.</summary>
    /// <param name="fd">The queue; borrowed until the epoll set is gone.</param>
    /// <exception cref="LinuxException">The set cannot take it.</exception>
    internal void Start(FdLease fd)
    {
        _fd = fd;
        _listened = EpollEvents.EdgeTriggered | EpollEvents.In;
        epoll.Add(fd.Number, _listened, (ulong)WorkerToken.Tap).OrThrow("epoll_ctl(TAP queue)");
    }

    /// <summary>Notes what an edge tells.</summary>
    internal void OnEdge(EpollEvents events)
    {
        bool readable = (events & (EpollEvents.In | Failed)) != 0;
        _inVain = readable && tap.Readable;
        tap.Readable |= readable;
        tap.Writable |= (events & (EpollEvents.Out | Failed)) != 0;
    }

    /// <summary>Before epoll is asked.</summary>
    /// <param name="sleeps">False: only for a glance, between batches.</param>
    internal void Prepare(bool sleeps)
    {
        bool reads = !tap.Readable || ((_listened & EpollEvents.In) != 0 && !(sleeps && _inVain));
        EpollEvents wanted = EpollEvents.EdgeTriggered
            | (reads ? EpollEvents.In : EpollEvents.None)
            | (tap.Writable ? EpollEvents.None : EpollEvents.Out);
        if (wanted != _listened)
        {
            _listened = wanted;
            epoll.Modify(_fd!.Number, wanted, (ulong)WorkerToken.Tap).OrThrow("epoll_ctl(TAP queue)");
        }
    }
}
