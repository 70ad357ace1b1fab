using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;

namespace Ringmaster.Actors.Tests.Support;

/// <summary>
/// A network namespace of the test's own, which goes with the thread that made it and the last TAP queue in it. Where
/// this process may make none the test is skipped, or fails with RINGMASTER_REQUIRE_ALL=1.
/// </summary>
internal sealed class TestNetwork : IDisposable
{
    private const int CLONE_NEWNET = 0x40000000;

    private readonly ManualResetEventSlim _end = new();
    private readonly Thread _thread;

    private TestNetwork()
    {
        var ready = new TaskCompletionSource<string?>();
        _thread = new Thread(() =>
        {
            ready.SetResult(unshare(CLONE_NEWNET) == 0 ? $"/proc/{Environment.ProcessId}/task/{gettid()}/ns/net" : null);
            _end.Wait();
        })
        {
            Name = "test-net",
            IsBackground = true,
        };
        _thread.Start();
        Path = ready.Task.GetAwaiter().GetResult();
    }

    /// <summary>Takes the place of a name under /run/netns.</summary>
    internal string? Path { get; }

    internal static TestNetwork Create()
    {
        var network = new TestNetwork();
        string? problem = network.Problem();
        if (problem is not null)
        {
            network.Dispose();
            string reason = $"making a network namespace with a TAP failed: {problem}. Run as root, or: unshare -Ur dotnet test";
            Assert.True(Environment.GetEnvironmentVariable("RINGMASTER_REQUIRE_ALL") != "1", reason);
            Skip.If(true, reason);
        }

        return network;
    }

    public void Dispose()
    {
        _end.Set();
        _thread.Join();
        _end.Dispose();
    }

    private string? Problem()
    {
        if (Path is null)
        {
            return "unshare(CLONE_NEWNET) is not allowed";
        }

        try
        {
            TapInterface.Open(new TapOptions { Name = "probe", Queues = 1, NetworkNamespace = Path }).Dispose();
            return null;
        }
        catch (LinuxException e)
        {
            return e.Message;
        }
    }

    [DllImport("libc", SetLastError = true)]
    private static extern int unshare(int flags);

    [DllImport("libc")]
    private static extern int gettid();
}
