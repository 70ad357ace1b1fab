using System.ComponentModel;
using System.Globalization;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// A network namespace of the test's own, so that no frame leaves it and no address clashes. Its name carries the
/// test process's id; namespaces that a killed test process left behind are removed, with what still runs in them.
/// </summary>
internal sealed class TestNamespace : IAsyncDisposable
{
    private const int CLONE_NEWNET = 0x40000000;
    private const string Prefix = "ringmaster-e2e-";
    private const string Folder = "/run/netns";
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);
    private static int _made;

    private TestNamespace(string name) => Name = name;

    internal string Name { get; }

    /// <summary>Makes one. Without IPv6 the kernel sends nothing of its own accord, so that frames can be counted.</summary>
    internal static async Task<TestNamespace> CreateAsync(bool ipv6 = false)
    {
        Require.Root();
        await RemoveLeftoversAsync();
        string name = $"{Prefix}{Environment.ProcessId}-{Interlocked.Increment(ref _made)}";
        await IpAsync("netns", "add", name);
        TestNamespace made = new(name);
        if (!ipv6)
        {
            made.WriteSetting("net/ipv6/conf/all/disable_ipv6", "1");
            made.WriteSetting("net/ipv6/conf/default/disable_ipv6", "1");
        }

        await made.ConfigureAsync("link", "set", "lo", "up");
        return made;
    }

    /// <summary>Starts a program inside.</summary>
    internal ManagedProcess Start(string name, string program, params IEnumerable<string> arguments) =>
        ManagedProcess.Start(name, "ip", ["netns", "exec", Name, Require.FindProgram(program) ?? program, .. arguments]);

    /// <summary>Runs a program inside to its end; its output.</summary>
    internal Task<string> RunAsync(TimeSpan timeout, string program, params IEnumerable<string> arguments) =>
        ManagedProcess.RunAsync(timeout, "ip", ["netns", "exec", Name, Require.FindProgram(program) ?? program, .. arguments]);

    /// <summary>Runs <c>ip -n NAMESPACE arguments</c>.</summary>
    internal Task<string> ConfigureAsync(params string[] arguments) => IpAsync(["-n", Name, .. arguments]);

    /// <summary>Runs code on a thread that has entered the namespace. Sockets made there stay in it.</summary>
    internal T Inside<T>(Func<T> work)
    {
        T result = default!;
        Exception? failure = null;
        Thread thread = new(() =>
        {
            try
            {
                Enter();
                result = work();
            }
            catch (Exception caught)
            {
                failure = caught;
            }
        })
        { Name = "in-netns" };
        thread.Start();
        thread.Join();
        return failure is null
            ? result
            : throw new InvalidOperationException($"In network namespace {Name}: {failure.Message}", failure);
    }

    /// <summary>
    /// Sends one echo request from inside and waits for the reply. While nobody takes frames from a TAP, its own queue is full
    /// and the kernel takes no request (<see cref="IPStatus.NoResources"/>).
    /// </summary>
    internal IPStatus Ping(string address, TimeSpan timeout) => Inside(() =>
    {
        using Ping ping = new();
        try
        {
            return ping.Send(address, (int)timeout.TotalMilliseconds).Status;
        }
        catch (PingException failure)
            when (failure.InnerException is SocketException { SocketErrorCode: SocketError.NoBufferSpaceAvailable })
        {
            return IPStatus.NoResources;
        }
    });

    /// <summary>The counters of one interface; null while there is no such interface.</summary>
    internal InterfaceCounters? CountersOf(string networkInterface) =>
        Inside(() => InterfaceCounters.Parse(File.ReadAllText("/proc/thread-self/net/dev"), networkInterface));

    public async ValueTask DisposeAsync() => await IpAsync("netns", "delete", Name);

    private static async Task RemoveLeftoversAsync()
    {
        if (!Directory.Exists(Folder))
        {
            return;
        }

        foreach (string name in Directory.EnumerateFiles(Folder, Prefix + "*").Select(Path.GetFileName).OfType<string>())
        {
            string owner = name[Prefix.Length..].Split('-')[0];
            if (Directory.Exists($"/proc/{owner}"))
            {
                continue;
            }

            foreach (string process in (await IpAsync("netns", "pids", name)).Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                Kill(int.Parse(process, CultureInfo.InvariantCulture));
            }

            await IpAsync("netns", "delete", name);
        }
    }

    private static void Kill(int process)
    {
        try
        {
            using var leftover = System.Diagnostics.Process.GetProcessById(process);
            leftover.Kill();
        }
        catch (ArgumentException)
        {
            // It has ended by itself meanwhile.
        }
    }

    private static Task<string> IpAsync(params string[] arguments) => ManagedProcess.RunAsync(Timeout, "ip", arguments);

    /// <summary>/proc/sys/net shows the reader's own namespace.</summary>
    private void WriteSetting(string setting, string value) => Inside(() =>
    {
        File.WriteAllText("/proc/sys/" + setting, value);
        return true;
    });

    private void Enter()
    {
        using SafeFileHandle handle = File.OpenHandle(Path.Combine(Folder, Name));
        if (setns(handle.DangerousGetHandle().ToInt32(), CLONE_NEWNET) != 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError(), "setns");
        }
    }

    [DllImport("libc", SetLastError = true)]
    private static extern int setns(int descriptor, int kind);
}
