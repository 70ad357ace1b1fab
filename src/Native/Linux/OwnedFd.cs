using Microsoft.Win32.SafeHandles;

namespace Ringmaster.Native.Linux;

/// <summary>
/// The sole owner of one file descriptor. Closing is idempotent and thread-safe; a lost owner is closed by its
/// finalizer. A thread that uses the descriptor for long takes one <see cref="Lease"/> instead of paying an
/// interlocked count for every call.
/// </summary>
public sealed class OwnedFd : SafeHandleMinusOneIsInvalid
{
    /// <summary>Takes ownership of an open descriptor.</summary>
    /// <param name="number">The descriptor. Nobody else may close it from here on.</param>
    public OwnedFd(int number)
        : base(ownsHandle: true) => SetHandle(number);

    /// <summary>Takes ownership of a descriptor that the process was started with; no child inherits it from here on.</summary>
    /// <param name="number">As for the constructor.</param>
    /// <exception cref="LinuxException">It is not open.</exception>
    public static OwnedFd Inherit(int number)
    {
        Sys.SetCloseOnExec(number).OrThrow("fcntl(F_SETFD)");
        return new OwnedFd(number);
    }

    /// <summary>The descriptor's number, valid while this object is neither disposed nor collected.</summary>
    internal int Number => (int)handle;

    /// <summary>A second descriptor for the same open file (<c>F_DUPFD_CLOEXEC</c>), with its own owner.</summary>
    /// <exception cref="LinuxException">The process has no descriptor left, or this one is closed.</exception>
    public OwnedFd Duplicate() => Sys.Duplicate(this);

    /// <summary>Keeps the descriptor open until the lease is disposed, even when the owner is disposed before.</summary>
    /// <exception cref="ObjectDisposedException">The descriptor is closed already.</exception>
    internal FdLease Lease() => new(this);

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => Sys.Close((int)handle);

    /// <inheritdoc/>
    public override string ToString() => IsClosed ? "fd closed" : $"fd {Number}";
}

/// <summary>One counted reference to an <see cref="OwnedFd"/>. Dispose it exactly once.</summary>
internal sealed class FdLease : IDisposable
{
    private OwnedFd? _owner;

    internal FdLease(OwnedFd owner)
    {
        bool added = false;
        owner.DangerousAddRef(ref added);
        _owner = owner;
        Number = owner.Number;
    }

    internal int Number { get; }

    public void Dispose() => Interlocked.Exchange(ref _owner, null)?.DangerousRelease();
}
