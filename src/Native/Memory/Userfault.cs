using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Memory;

/// <summary>
/// A userfaultfd of post-copy migration: pages of registered ranges that are not here yet are asked for by it, and whoever
/// touches one waits until the front-end, which reads the other descriptor of it, has put the page into the file. Thread-safe.
/// </summary>
/// <remarks>
/// <list type="bullet">
/// <item>Nothing in this process reads it. That a thread waits costs nobody else anything: see <see cref="FaultWindow"/>.</item>
/// <item>Opened for faults of user mode alone, which needs no privilege. System calls never meet a missing page, because whoever
/// is to use one fetches it first.</item>
/// <item>The front-end may keep its descriptor for as long as it likes. <see cref="Disarm"/> takes the ranges out all the same,
/// and with that nobody waits any more.</item>
/// </list>
/// </remarks>
public sealed class Userfault : IDisposable
{
    private readonly Lock _gate = new();
    private readonly HashSet<(ulong Start, ulong Length)> _armed = [];
    private volatile bool _disarmed;

    private Userfault(OwnedFd fd) => Fd = fd;

    /// <summary>What the front-end gets a duplicate of.</summary>
    public OwnedFd Fd { get; }

    /// <summary>True once nobody will wait any more.</summary>
    public bool IsDisarmed => _disarmed;

    /// <summary>Why there can be none on this machine; null when there can.</summary>
    public static string? Problem
    {
        get
        {
            using Userfault? probe = TryOpen(out string? reason);
            return reason;
        }
    }

    /// <summary>Opens one, ready for use; null when the kernel refuses.</summary>
    /// <param name="reason">Why, when the result is null.</param>
    public static Userfault? TryOpen(out string? reason)
    {
        IoResult opened = UserfaultCalls.Open(UserfaultCalls.UserModeOnly);
        if (opened.Error == Errno.EINVAL)
        {
            opened = UserfaultCalls.Open(0); // before Linux 5.11, where it depends on vm.unprivileged_userfaultfd
        }

        if (!opened.Ok)
        {
            reason = "userfaultfd: " + Errno.Describe(opened.Error);
            return null;
        }

        var fd = new OwnedFd((int)opened.Count);
        IoResult settled = UserfaultCalls.Handshake(fd.Number);
        if (!settled.Ok)
        {
            fd.Dispose();
            reason = "UFFDIO_API: " + Errno.Describe(settled.Error);
            return null;
        }

        reason = null;
        return new Userfault(fd);
    }

    /// <summary>Takes all ranges out: waiters go on and find zeros, and nobody will wait. Cannot be taken back.</summary>
    public void Disarm()
    {
        lock (_gate)
        {
            _disarmed = true;
            foreach ((ulong start, ulong length) in _armed)
            {
                UserfaultCalls.Unregister(Fd.Number, start, length);
            }

            _armed.Clear();
        }
    }

    /// <summary>Disarms it and closes this side's descriptor.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (!Fd.IsClosed)
            {
                Disarm();
                Fd.Dispose();
            }
        }
    }

    /// <summary>Registers a range of a mapping that nobody has touched.</summary>
    /// <returns>Why it cannot be, or null.</returns>
    internal string? TryArm(ulong start, ulong length)
    {
        lock (_gate)
        {
            if (_disarmed)
            {
                return "post-copy has ended";
            }

            IoResult abilities = UserfaultCalls.Register(Fd.Number, start, length);
            if (!abilities.Ok)
            {
                return "UFFDIO_REGISTER: " + Errno.Describe(abilities.Error);
            }

            if ((abilities.Count & (1L << UserfaultCalls.WakeBit)) == 0)
            {
                UserfaultCalls.Unregister(Fd.Number, start, length);
                return "UFFDIO_REGISTER: nobody could be woken";
            }

            _armed.Add((start, length));
            return null;
        }
    }

    /// <summary>Takes one range out, before it is unmapped.</summary>
    internal void Release(ulong start, ulong length)
    {
        lock (_gate)
        {
            if (_armed.Remove((start, length)))
            {
                UserfaultCalls.Unregister(Fd.Number, start, length);
            }
        }
    }
}
