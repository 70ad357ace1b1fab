using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Worker;

/// <summary>The further fds that others registered on a worker's loop. The worker's thread only.</summary>
internal sealed class WatchedFds(Epoll epoll)
{
    private readonly Dictionary<ulong, (FdLease Lease, WatchFd Watch)> _byToken = [];
    private ulong _nextToken = (ulong)WorkerToken.FirstWatch;

    /// <summary>Adds one. Returns null, or why it cannot be waited on.</summary>
    internal string? Add(WatchFd watch)
    {
        Remove(watch.Fd);
        FdLease lease = watch.Fd.Lease();
        ulong token = _nextToken++;
        IoResult result = epoll.Add(lease.Number, EpollEvents.In, token);
        if (!result.Ok)
        {
            lease.Dispose();
            return $"{watch.Fd} cannot be waited on: {Errno.Describe(result.Error)}";
        }

        _byToken.Add(token, (lease, watch));
        return null;
    }

    internal void Remove(OwnedFd fd)
    {
        foreach ((ulong token, (FdLease lease, WatchFd watch)) in _byToken)
        {
            if (ReferenceEquals(watch.Fd, fd))
            {
                Release(lease);
                _byToken.Remove(token);
                return;
            }
        }
    }

    internal void OnReadable(ulong token)
    {
        if (_byToken.TryGetValue(token, out (FdLease Lease, WatchFd Watch) entry))
        {
            entry.Watch.OnReadable();
        }
    }

    internal void Clear()
    {
        foreach ((FdLease lease, _) in _byToken.Values)
        {
            Release(lease);
        }

        _byToken.Clear();
    }

    private void Release(FdLease lease)
    {
        epoll.Remove(lease.Number);
        lease.Dispose();
    }
}
