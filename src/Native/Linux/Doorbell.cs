namespace Ringmaster.Native.Linux;

/// <summary>
/// A descriptor that a front-end gave to be signalled: an eventfd, or a pipe or socket that plays one. One that cannot take
/// a signal at once has one already.
/// </summary>
/// <remarks>
/// O_NONBLOCK belongs to the open file, which the front-end has as well and can switch off. So each write to a pipe or socket
/// says that it must not wait (pipes: since Linux 6.4). The kernel knows no such write to an eventfd: one whose counter is at
/// its end, where no honest one ever is, holds up whoever writes until somebody reads. <see cref="Free()"/> does, from another
/// thread.
/// </remarks>
public sealed class Doorbell : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(100);

    private readonly OwnedFd _fd;
    private readonly FdLease _lease;
    private bool _isEventFd;

    /// <summary>Keeps the descriptor open until it is disposed.</summary>
    /// <exception cref="ObjectDisposedException">The descriptor is closed already.</exception>
    internal Doorbell(OwnedFd fd)
    {
        _fd = fd;
        _lease = fd.Lease();
    }

    /// <summary>Signals by a thread of its own, so that the caller never waits; that thread is freed where it has to.</summary>
    /// <exception cref="ObjectDisposedException">The descriptor is closed already.</exception>
    public static Task RingAsideAsync(OwnedFd fd)
    {
        var bell = new Doorbell(fd);
        Task ring = Task.Factory.StartNew(
            () => bell.Ring(), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        return bell.FreeUntilAsync(ring);
    }

    /// <summary>Adds one. EAGAIN: it is signalled already. One thread at a time.</summary>
    internal unsafe IoResult Ring()
    {
        if (!_isEventFd)
        {
            ulong one = 1;
            IoResult result = Sys.TryWriteNow(_lease.Number, &one, sizeof(ulong));
            if (result.Error != Errno.EOPNOTSUPP)
            {
                return result;
            }

            _isEventFd = true;
        }

        return EventFd.Signal(_lease.Number);
    }

    /// <summary>Empties an eventfd that is full, so that whoever waits to signal it goes on. Any thread; never waits.</summary>
    internal void Free() => Free(_fd);

    /// <inheritdoc cref="Free()"/>
    internal static void Free(OwnedFd fd)
    {
        try
        {
            if (!FdWait.For(fd, FdWait.Out, TimeSpan.Zero))
            {
                using FdLease lease = fd.Lease();
                EventFd.Take(lease.Number);
            }
        }
        catch (ObjectDisposedException)
        {
            // Nobody waits on it any more.
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _lease.Dispose();

    private async Task FreeUntilAsync(Task ring)
    {
        while (await Task.WhenAny(ring, Task.Delay(Patience)) != ring)
        {
            Free();
        }

        Dispose();
    }
}
