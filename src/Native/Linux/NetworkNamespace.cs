using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Ringmaster.Native.Linux;

/// <summary>
/// Runs code inside another network namespace. The namespace belongs to a thread, so each call has a fresh one, which
/// ends with it: no pool thread is ever left in the wrong place. Sockets and TAP queues made inside stay there.
/// </summary>
public static unsafe partial class NetworkNamespace
{
    private const string Directory = "/run/netns";
    private const int CLONE_NEWNET = 0x40000000;
    private const int O_RDONLY = 0;
    private const int O_CLOEXEC = 0x80000;

    /// <summary>Runs a function in a namespace and waits for it.</summary>
    /// <param name="nameOrPath">A name as in <c>ip netns</c> (a file in /run/netns), or a path such as /proc/1234/ns/net.</param>
    /// <param name="inside">What it throws is thrown here.</param>
    /// <exception cref="LinuxException">The namespace does not exist or may not be entered.</exception>
    public static T Run<T>(string nameOrPath, Func<T> inside)
    {
        T result = default!;
        ExceptionDispatchInfo? fault = null;
        using OwnedFd target = Open(nameOrPath);
        var thread = new Thread(() =>
        {
            try
            {
                Enter(target, nameOrPath);
                result = inside();
            }
            catch (Exception e)
            {
                fault = ExceptionDispatchInfo.Capture(e);
            }
        })
        {
            Name = "netns",
            IsBackground = true,
        };
        thread.Start();
        thread.Join();
        fault?.Throw();
        return result;
    }

    private static string PathOf(string nameOrPath) => nameOrPath.Contains('/') ? nameOrPath : $"{Directory}/{nameOrPath}";

    private static OwnedFd Open(string nameOrPath)
    {
        string path = PathOf(nameOrPath);
        IoResult result;
        fixed (byte* bytes = System.Text.Encoding.UTF8.GetBytes(path + "\0"))
        {
            result = Sys.Result(open(bytes, O_RDONLY | O_CLOEXEC));
        }

        string? hint = result.Error == Errno.ENOENT ? "there is no such network namespace; see 'ip netns add'" : null;
        return result.Ok ? new OwnedFd((int)result.Count) : throw new LinuxException($"open({path})", result.Error, hint);
    }

    private static void Enter(OwnedFd target, string nameOrPath)
    {
        using FdLease lease = target.Lease();
        IoResult result = Sys.Result(setns(lease.Number, CLONE_NEWNET));
        if (!result.Ok)
        {
            string? hint = result.Error switch
            {
                Errno.EPERM => "entering a network namespace needs CAP_SYS_ADMIN",
                Errno.EINVAL => "that file is no network namespace",
                _ => null,
            };
            throw new LinuxException($"setns({PathOf(nameOrPath)})", result.Error, hint);
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int open(byte* path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setns(int fd, int kind);
}
