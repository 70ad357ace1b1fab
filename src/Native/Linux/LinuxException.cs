namespace Ringmaster.Native.Linux;

/// <summary>A system call failed on a set-up path. Never thrown while frames are moved.</summary>
public sealed class LinuxException : IOException
{
    /// <summary>Names the operation and the errno it failed with.</summary>
    public LinuxException(string operation, int error)
        : base($"{operation}: {Linux.Errno.Describe(error)}")
    {
        Operation = operation;
        Error = error;
    }

    /// <summary>What was tried, for example <c>ioctl(TUNSETIFF, tap0)</c>.</summary>
    public string Operation { get; }

    /// <summary>The errno (positive), see <see cref="Linux.Errno"/>.</summary>
    public int Error { get; }
}
