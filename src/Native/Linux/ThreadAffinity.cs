using System.Runtime.InteropServices;

namespace Ringmaster.Native.Linux;

/// <summary>Pins and names the calling thread.</summary>
public static unsafe partial class ThreadAffinity
{
    private const int PR_SET_NAME = 15;
    private const int MaskBytes = 1024;

    /// <summary>Binds the calling thread to one CPU.</summary>
    /// <param name="cpu">CPU number, 0 to 8191.</param>
    /// <returns>EINVAL when the CPU does not exist, is offline, or is not allowed to this process.</returns>
    internal static IoResult Pin(int cpu)
    {
        if (cpu is < 0 or >= MaskBytes * 8)
        {
            return new IoResult(-Errno.EINVAL);
        }

        byte* mask = stackalloc byte[MaskBytes];
        new Span<byte>(mask, MaskBytes).Clear();
        mask[cpu / 8] = (byte)(1 << (cpu % 8));
        return Sys.Result(sched_setaffinity(0, MaskBytes, mask));
    }

    /// <summary>The CPUs that the calling thread may run on, ascending.</summary>
    public static IReadOnlyList<int> Allowed()
    {
        byte* mask = stackalloc byte[MaskBytes];
        new Span<byte>(mask, MaskBytes).Clear();
        Sys.Result(sched_getaffinity(0, MaskBytes, mask)).OrThrow("sched_getaffinity");
        var cpus = new List<int>();
        for (int cpu = 0; cpu < MaskBytes * 8; cpu++)
        {
            if ((mask[cpu / 8] & (1 << (cpu % 8))) != 0)
            {
                cpus.Add(cpu);
            }
        }

        return cpus;
    }

    /// <summary>Names the calling thread as seen in <c>top -H</c>; the kernel keeps 15 bytes.</summary>
    internal static void Name(string name)
    {
        byte[] bytes = System.Text.Encoding.UTF8.GetBytes(name + "\0");
        fixed (byte* first = bytes)
        {
            Sys.Result(prctl(PR_SET_NAME, first, 0, 0, 0)).OrThrow("prctl(PR_SET_NAME)");
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int sched_setaffinity(int pid, nuint size, byte* mask);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int sched_getaffinity(int pid, nuint size, byte* mask);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int prctl(int option, void* a, nuint b, nuint c, nuint d);
}
