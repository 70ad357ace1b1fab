using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Ringmaster.Native.Linux;

/// <summary>Sleeps on descriptors, for threads that may block: the guest's half, and one that moves a device's state.</summary>
internal static unsafe partial class FdWait
{
    internal const short In = 0x001;
    internal const short Out = 0x004;

    /// <summary>Waits until a descriptor is ready (or broken).</summary>
    /// <param name="fd">The descriptor.</param>
    /// <param name="events"><see cref="In"/> or <see cref="Out"/>.</param>
    /// <param name="timeout">How long at most.</param>
    /// <returns>False when the time is over.</returns>
    internal static bool For(OwnedFd fd, short events, TimeSpan timeout)
    {
        using FdLease lease = fd.Lease();
        var entry = new PollEntry { Fd = lease.Number, Events = events };
        return Poll(new Span<PollEntry>(ref entry), timeout);
    }

    /// <summary>Waits until a descriptor is ready (or broken), or another one has input.</summary>
    /// <returns>False when the time is over.</returns>
    internal static bool ForEither(OwnedFd fd, short events, OwnedFd other, TimeSpan timeout)
    {
        using FdLease lease = fd.Lease();
        using FdLease otherLease = other.Lease();
        return Poll(
            [new PollEntry { Fd = lease.Number, Events = events }, new PollEntry { Fd = otherLease.Number, Events = In }],
            timeout);
    }

    /// <summary>Waits until one of several descriptors has input.</summary>
    internal static bool ForAny(OwnedFd[] fds, TimeSpan timeout)
    {
        FdLease[] leases = [.. fds.Select(fd => fd.Lease())];
        try
        {
            return Poll([.. leases.Select(lease => new PollEntry { Fd = lease.Number, Events = In })], timeout);
        }
        finally
        {
            Array.ForEach(leases, lease => lease.Dispose());
        }
    }

    private static bool Poll(Span<PollEntry> entries, TimeSpan timeout)
    {
        long start = Stopwatch.GetTimestamp();
        fixed (PollEntry* first = entries)
        {
            while (true)
            {
                double left = Math.Max((timeout - Stopwatch.GetElapsedTime(start)).TotalMilliseconds, 0);
                IoResult result = Sys.Result(poll(first, (nuint)entries.Length, (int)Math.Min(Math.Ceiling(left), int.MaxValue)));
                if (result.Error != Errno.EINTR)
                {
                    return result.OrThrow("poll") > 0;
                }
            }
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int poll(PollEntry* entries, nuint count, int timeoutMilliseconds);
}

/// <summary>C's <c>struct pollfd</c>: 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PollEntry
{
    internal int Fd;
    internal short Events;
    internal short Happened;
}
