using System.Collections.Concurrent;
using Tmds.Linux;

namespace Ringmaster.Native.Linux;

/// <summary>
/// Tells when a control socket can be read, or written: one background thread and one epoll set for all of them, so that
/// nobody blocks a pool thread in a receive or a send. Never for packets.
/// </summary>
/// <remarks>
/// Callbacks run on the loop's thread, one at a time; they must not block, and what they throw is a fault of the
/// program and goes unhandled. Any thread may register, arm and dispose.
/// </remarks>
public sealed class ReadinessLoop : IDisposable
{
    private const ulong WakeToken = 0;
    private const int BatchSize = 32;
    private const EpollEvents Input = EpollEvents.In | EpollEvents.PeerClosed | EpollEvents.OneShot;
    private const EpollEvents Output = EpollEvents.Out | EpollEvents.OneShot;

    private readonly Epoll _epoll = new();
    private readonly EventFd _wake = new();
    private readonly FdLease _wakeLease;
    private readonly ConcurrentDictionary<ulong, Readiness> _registered = new();
    private readonly Thread _thread;
    private long _lastToken;
    private volatile bool _stopping;

    /// <summary>One for the loop itself and one for each registration; at zero the epoll set closes.</summary>
    private int _users = 1;

    /// <summary>Starts the thread.</summary>
    /// <param name="name">The thread's name; the kernel keeps 15 bytes.</param>
    public ReadinessLoop(string name)
    {
        _wakeLease = _wake.Fd.Lease();
        _epoll.Add(_wakeLease.Number, EpollEvents.In, WakeToken).OrThrow("epoll_ctl");
        _thread = new Thread(Run) { Name = name, IsBackground = true };
        _thread.Start();
    }

    /// <summary>
    /// Watches a descriptor. The registration begins disarmed: nothing is called before <see cref="Readiness.Arm"/>.
    /// </summary>
    /// <param name="fd">A socket, pipe or eventfd; kept open until the registration is disposed.</param>
    /// <param name="onReadable">
    /// Called once for each <see cref="Readiness.Arm"/>: when there is something to read, the end, or an error.
    /// </param>
    /// <exception cref="ObjectDisposedException">The loop or the descriptor is closed.</exception>
    public Readiness Register(OwnedFd fd, Action onReadable) => Register(fd, onReadable, Input);

    /// <summary>
    /// The same for room to write. A descriptor stands in the loop once: whoever waits for input on it as well hands in a
    /// duplicate here.
    /// </summary>
    /// <param name="fd">A socket; kept open until the registration is disposed.</param>
    /// <param name="onWritable">Called once for each <see cref="Readiness.Arm"/>: when there is room, or an error.</param>
    /// <exception cref="ObjectDisposedException">The loop or the descriptor is closed.</exception>
    public Readiness RegisterWritable(OwnedFd fd, Action onWritable) => Register(fd, onWritable, Output);

    private Readiness Register(OwnedFd fd, Action onReady, EpollEvents interest)
    {
        ObjectDisposedException.ThrowIf(!TryEnter(), this);
        try
        {
            ulong token = (ulong)Interlocked.Increment(ref _lastToken);
            var readiness = new Readiness(this, token, fd.Lease(), onReady, interest);
            _registered[token] = readiness;
            return readiness;
        }
        catch (ObjectDisposedException)
        {
            Leave();
            throw;
        }
    }

    /// <summary>Stops the thread and waits for it, unless called from a callback. No callback begins afterwards.</summary>
    public void Dispose()
    {
        if (_stopping)
        {
            return;
        }

        // A thread that is awake may see the flag, and close the eventfd, before it is signalled.
        using (FdLease wake = _wake.Fd.Lease())
        {
            _stopping = true;
            EventFd.Signal(wake.Number);
        }

        if (Thread.CurrentThread != _thread)
        {
            _thread.Join();
        }
    }

    internal IoResult Add(int fd, EpollEvents interest, ulong token) => _epoll.Add(fd, interest, token);

    internal IoResult Rearm(int fd, EpollEvents interest, ulong token) => _epoll.Modify(fd, interest, token);

    internal void Remove(ulong token, int? fd)
    {
        _registered.TryRemove(token, out _);
        if (fd is int number)
        {
            _epoll.Remove(number).OrThrow("epoll_ctl(EPOLL_CTL_DEL)");
        }

        Leave();
    }

    private void Run()
    {
        ThreadAffinity.Name(_thread.Name!);
        Span<epoll_event> events = stackalloc epoll_event[BatchSize];
        while (!_stopping)
        {
            int count = _epoll.Wait(events, timeoutMilliseconds: -1);
            for (int i = 0; i < count && !_stopping; i++)
            {
                Dispatch(Epoll.Token(events[i]));
            }
        }

        _wakeLease.Dispose();
        _wake.Dispose();
        Leave();
    }

    private void Dispatch(ulong token)
    {
        if (token == WakeToken)
        {
            EventFd.Drain(_wakeLease.Number);
        }
        else if (_registered.TryGetValue(token, out Readiness? readiness))
        {
            readiness.Fire();
        }
    }

    private bool TryEnter()
    {
        int users = Volatile.Read(ref _users);
        while (users > 0 && !_stopping)
        {
            int seen = Interlocked.CompareExchange(ref _users, users + 1, users);
            if (seen == users)
            {
                return true;
            }

            users = seen;
        }

        return false;
    }

    private void Leave()
    {
        if (Interlocked.Decrement(ref _users) == 0)
        {
            _epoll.Dispose();
        }
    }
}
