using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Driver;

/// <summary>
/// A network namespace of its own, for a demo or a test: one thread that left the process's namespace and lives as long as this
/// object. When the thread has ended and the sockets and interfaces made inside are closed, the namespace is gone.
/// </summary>
public sealed partial class PrivateNetwork : IDisposable
{
    private const int CLONE_NEWNET = 0x40000000;
    private readonly BlockingCollection<Action> _work = [];
    private readonly Thread _thread;
    private ExceptionDispatchInfo? _fault;

    /// <summary>Makes the namespace. It holds nothing but a loopback interface that is down.</summary>
    /// <exception cref="LinuxException">EPERM: that takes CAP_SYS_ADMIN.</exception>
    public PrivateNetwork()
    {
        using var entered = new ManualResetEventSlim();
        _thread = new Thread(() => Live(entered)) { Name = "network", IsBackground = true };
        _thread.Start();
        entered.Wait();
        _fault?.Throw();
    }

    /// <summary>A path that names the namespace to <see cref="NetworkNamespace"/> while this object lives.</summary>
    public string Path { get; private set; } = "";

    /// <summary>Runs a function inside. Sockets made there stay there, whatever thread uses them afterwards.</summary>
    public T Run<T>(Func<T> inside)
    {
        var result = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        _work.Add(() =>
        {
            try
            {
                result.SetResult(inside());
            }
            catch (Exception e)
            {
                result.SetException(e);
            }
        });
        return result.Task.GetAwaiter().GetResult();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _work.CompleteAdding();
        _thread.Join();
        _work.Dispose();
    }

    private void Live(ManualResetEventSlim entered)
    {
        try
        {
            Sys.Result(unshare(CLONE_NEWNET)).OrThrow("unshare(CLONE_NEWNET)");
            Path = $"/proc/{Environment.ProcessId}/task/{gettid()}/ns/net";
        }
        catch (LinuxException e)
        {
            _fault = ExceptionDispatchInfo.Capture(e);
            return;
        }
        finally
        {
            entered.Set();
        }

        foreach (Action action in _work.GetConsumingEnumerable())
        {
            action();
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int unshare(int flags);

    [LibraryImport("libc")]
    private static partial int gettid();
}
