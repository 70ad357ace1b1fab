namespace Ringmaster.Native.Linux;

/// <summary>
/// The errno numbers that Ringmaster tells apart, as constants usable in <c>switch</c>. The numbers are those of
/// the generic Linux ABI, shared by x86-64 and arm64.
/// </summary>
public static class Errno
{
    /// <summary>Operation not permitted.</summary>
    public const int EPERM = 1;

    /// <summary>No such file or directory.</summary>
    public const int ENOENT = 2;

    /// <summary>A signal came before anything was done.</summary>
    public const int EINTR = 4;

    /// <summary>Input/output error; a TAP write while the interface is down.</summary>
    public const int EIO = 5;

    /// <summary>Bad file descriptor.</summary>
    public const int EBADF = 9;

    /// <summary>The descriptor would block.</summary>
    public const int EAGAIN = 11;

    /// <summary>Out of memory.</summary>
    public const int ENOMEM = 12;

    /// <summary>Permission denied.</summary>
    public const int EACCES = 13;

    /// <summary>A buffer address is not mapped (any more).</summary>
    public const int EFAULT = 14;

    /// <summary>Device or resource busy.</summary>
    public const int EBUSY = 16;

    /// <summary>The name exists already.</summary>
    public const int EEXIST = 17;

    /// <summary>No such device.</summary>
    public const int ENODEV = 19;

    /// <summary>Invalid argument.</summary>
    public const int EINVAL = 22;

    /// <summary>This process has no descriptor left.</summary>
    public const int EMFILE = 24;

    /// <summary>The other end of a pipe or socket is closed.</summary>
    public const int EPIPE = 32;

    /// <summary>The operation is not implemented by this kernel.</summary>
    public const int ENOSYS = 38;

    /// <summary>A message is too long for the transport.</summary>
    public const int EMSGSIZE = 90;

    /// <summary>The operation is not supported.</summary>
    public const int EOPNOTSUPP = 95;

    /// <summary>The address is in use.</summary>
    public const int EADDRINUSE = 98;

    /// <summary>The network is down.</summary>
    public const int ENETDOWN = 100;

    /// <summary>The peer went before its connection was accepted.</summary>
    public const int ECONNABORTED = 103;

    /// <summary>The connection was reset by the peer.</summary>
    public const int ECONNRESET = 104;

    /// <summary>No buffer space available.</summary>
    public const int ENOBUFS = 105;

    /// <summary>Nobody listens.</summary>
    public const int ECONNREFUSED = 111;

    /// <summary>The operation was cancelled.</summary>
    public const int ECANCELED = 125;

    /// <summary>Symbolic name where known, and the C library's text.</summary>
    public static string Describe(int errno)
    {
        string? name = errno switch
        {
            EPERM => nameof(EPERM),
            ENOENT => nameof(ENOENT),
            EINTR => nameof(EINTR),
            EIO => nameof(EIO),
            EBADF => nameof(EBADF),
            EAGAIN => nameof(EAGAIN),
            ENOMEM => nameof(ENOMEM),
            EACCES => nameof(EACCES),
            EFAULT => nameof(EFAULT),
            EBUSY => nameof(EBUSY),
            EEXIST => nameof(EEXIST),
            ENODEV => nameof(ENODEV),
            EINVAL => nameof(EINVAL),
            EMFILE => nameof(EMFILE),
            EPIPE => nameof(EPIPE),
            ENOSYS => nameof(ENOSYS),
            EMSGSIZE => nameof(EMSGSIZE),
            EOPNOTSUPP => nameof(EOPNOTSUPP),
            EADDRINUSE => nameof(EADDRINUSE),
            ENETDOWN => nameof(ENETDOWN),
            ECONNABORTED => nameof(ECONNABORTED),
            ECONNRESET => nameof(ECONNRESET),
            ENOBUFS => nameof(ENOBUFS),
            ECONNREFUSED => nameof(ECONNREFUSED),
            ECANCELED => nameof(ECANCELED),
            _ => null,
        };
        string text = System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(errno);
        return name is null ? $"errno {errno}: {text}" : $"{name}: {text}";
    }
}
