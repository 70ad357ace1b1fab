namespace Ringmaster.Native.Linux;

/// <summary>One descriptor watched by a <see cref="ReadinessLoop"/>.</summary>
/// <remarks>
/// The lock is held over one epoll_ctl at most. It keeps a late <see cref="Arm"/> from touching a descriptor number
/// that has been closed and given to somebody else.
/// </remarks>
public sealed class Readiness : IDisposable
{
    private readonly Lock _gate = new();
    private readonly ReadinessLoop _loop;
    private readonly ulong _token;
    private readonly FdLease _fd;
    private readonly Action _onReady;
    private readonly EpollEvents _interest;
    private bool _added;
    private bool _armed;
    private bool _disposed;

    internal Readiness(ReadinessLoop loop, ulong token, FdLease fd, Action onReady, EpollEvents interest)
    {
        _loop = loop;
        _token = token;
        _fd = fd;
        _onReady = onReady;
        _interest = interest;
    }

    /// <summary>
    /// Asks for one callback: at once when there is something to read (or room to write) already, else as soon as there
    /// is. Arming what is armed or disposed changes nothing.
    /// </summary>
    /// <exception cref="LinuxException">The descriptor is of a kind that cannot be waited for.</exception>
    public void Arm()
    {
        lock (_gate)
        {
            if (_armed || _disposed)
            {
                return;
            }

            IoResult result = _added
                ? _loop.Rearm(_fd.Number, _interest, _token)
                : _loop.Add(_fd.Number, _interest, _token);
            result.OrThrow("epoll_ctl");
            _added = true;
            _armed = true;
        }
    }

    /// <summary>Ends the watch. No callback begins afterwards; one that the loop has taken up may still be running.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            _armed = false;
            _loop.Remove(_token, _added ? _fd.Number : null);
            _fd.Dispose();
        }
    }

    internal void Fire()
    {
        lock (_gate)
        {
            if (!_armed)
            {
                return;
            }

            _armed = false;
        }

        _onReady();
    }
}
