using Microsoft.Win32.SafeHandles;
using Ringmaster.Native.Linux;

namespace Ringmaster.Bench.Compare.Contenders;

/// <summary>The I/O engines that this machine lets us use.</summary>
internal static class Engines
{
    /// <summary>Finds out.</summary>
    /// <param name="refusal">Why io_uring is not among them, or null.</param>
    internal static IReadOnlyList<string> Available(out string? refusal)
    {
        using SafeFileHandle anything = File.OpenHandle("/dev/null");
        try
        {
            using var ring = new IoUring(1, anything.DangerousGetHandle().ToInt32());
            refusal = null;
            return [Contender.IoUring, Contender.Syscall];
        }
        catch (LinuxException e)
        {
            refusal = e.Message;
            return [Contender.Syscall];
        }
    }
}
