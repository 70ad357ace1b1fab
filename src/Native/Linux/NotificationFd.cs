using Tmds.Linux;
using static Tmds.Linux.LibC;

namespace Ringmaster.Native.Linux;

/// <summary>
/// Says whether a descriptor that a front-end sent can carry kicks, calls or errors. Others would stall or spin the
/// worker: a regular file and /dev/zero are always readable, an epoll set and a listening socket cannot be read at all.
/// </summary>
public static unsafe class NotificationFd
{
    private const uint KindMask = 0xF000;
    private const uint PipeKind = 0x1000;
    private const uint SocketKind = 0xC000;
    private const string EventFdTarget = "anon_inode:[eventfd]";

    /// <summary>
    /// Accepts an eventfd, a pipe or a socket, and makes it non-blocking: a full one must not block the worker.
    /// </summary>
    /// <returns>Null when it is usable, else the reason why not.</returns>
    public static string? Check(OwnedFd fd)
    {
        using FdLease lease = fd.Lease();
        stat found;
        IoResult result = Sys.Result(fstat(lease.Number, &found));
        if (!result.Ok)
        {
            return $"fstat: {result}";
        }

        uint kind = (uint)found.st_mode & KindMask;
        string? refusal = kind switch
        {
            PipeKind => null,
            SocketKind => UnixSocket.Accepts(lease.Number) ? "a listening socket cannot be read" : null,
            _ => RefusalByName(lease.Number),
        };
        if (refusal is not null)
        {
            return refusal;
        }

        result = Sys.SetNonBlocking(lease.Number, on: true);
        return result.Ok ? null : $"fcntl(F_SETFL, O_NONBLOCK): {result}";
    }

    private static string? RefusalByName(int fd)
    {
        string? target = new FileInfo($"/proc/self/fd/{fd}").LinkTarget;
        return target == EventFdTarget ? null : $"'{target}' is neither an eventfd nor a pipe nor a socket";
    }
}
