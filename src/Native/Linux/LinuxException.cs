namespace Ringmaster.Native.Linux;

/// <summary>A system call failed on a set-up path. Never thrown while frames are moved.</summary>
public sealed class LinuxException : IOException
{
    /// <summary>Names the operation and the errno it failed with.</summary>
    /// <param name="operation">What was tried, for example <c>ioctl(TUNSETIFF, tap0)</c>.</param>
    /// <param name="error">The errno (positive).</param>
    /// <param name="hint">What may have caused it or would help, or null.</param>
    public LinuxException(string operation, int error, string? hint = null)
        : base($"{operation}: {Linux.Errno.Describe(error)}{(hint is null ? "" : $" ({hint})")}")
    {
        Operation = operation;
        Error = error;
    }

    /// <summary>What was tried, for example <c>ioctl(TUNSETIFF, tap0)</c>.</summary>
    public string Operation { get; }

    /// <summary>The errno (positive), see <see cref="Linux.Errno"/>.</summary>
    public int Error { get; }
}
