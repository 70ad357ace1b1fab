using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Tests.Support;

/// <summary>
/// A network namespace of the test's own. It lives on a thread that does the test's errands inside it, and goes with
/// that thread and the last socket or TAP queue made there.
/// </summary>
internal sealed partial class TemporaryNetwork : IDisposable
{
    private const int CLONE_NEWNET = 0x40000000;

    private readonly BlockingCollection<Action> _errands = [];
    private readonly Thread _thread;

    /// <summary>Makes the namespace.</summary>
    /// <exception cref="LinuxException">This process may not.</exception>
    internal TemporaryNetwork()
    {
        var ready = new TaskCompletionSource<IoResult>();
        _thread = new Thread(() =>
        {
            ready.SetResult(Sys.Result(unshare(CLONE_NEWNET)));
            ThreadId = gettid();
            foreach (Action errand in _errands.GetConsumingEnumerable())
            {
                errand();
            }
        })
        {
            Name = "test-net",
            IsBackground = true,
        };
        _thread.Start();
        IoResult result = ready.Task.GetAwaiter().GetResult();
        if (!result.Ok)
        {
            Dispose();
            throw new LinuxException("unshare(CLONE_NEWNET)", result.Error);
        }

        Run(() => 0);
    }

    /// <summary>A path that <c>setns</c> takes while this object lives.</summary>
    internal string Path => $"/proc/{Environment.ProcessId}/task/{ThreadId}/ns/net";

    private int ThreadId { get; set; }

    /// <summary>Runs a function inside and gives back what it returns or throws.</summary>
    internal T Run<T>(Func<T> inside)
    {
        T result = default!;
        ExceptionDispatchInfo? fault = null;
        using var done = new ManualResetEventSlim();
        _errands.Add(() =>
        {
            try
            {
                result = inside();
            }
            catch (Exception e)
            {
                fault = ExceptionDispatchInfo.Capture(e);
            }

            done.Set();
        });
        done.Wait();
        fault?.Throw();
        return result;
    }

    /// <summary>Runs an action inside.</summary>
    internal void Run(Action inside) => Run(() =>
    {
        inside();
        return 0;
    });

    /// <summary>Runs a function inside, on a thread that has given up every capability.</summary>
    internal T RunWithoutCapabilities<T>(Func<T> inside) => NetworkNamespace.Run(Path, () =>
    {
        DropCapabilities();
        return inside();
    });

    public void Dispose()
    {
        _errands.CompleteAdding();
        _thread.Join();
        _errands.Dispose();
    }

    private static unsafe void DropCapabilities()
    {
        // C's cap_user_header_t (version 3, this thread) and twice cap_user_data_t (effective, permitted, inheritable).
        uint* header = stackalloc uint[] { 0x20080522, 0 };
        uint* none = stackalloc uint[] { 0, 0, 0, 0, 0, 0 };
        Sys.Result(capset(header, none)).OrThrow("capset");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial int capset(uint* header, uint* data);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int unshare(int flags);

    [LibraryImport("libc")]
    private static partial int gettid();
}
