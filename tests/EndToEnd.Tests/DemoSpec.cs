using System.Diagnostics;
using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests;

/// <summary><c>ringmaster demo</c>: the README's first command.</summary>
public sealed class DemoSpec
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(60);

    [SkippableFact]
    public async Task The_demo_holds_all_its_checks_within_15_seconds()
    {
        await RequireNamespacesAsync();
        long start = Stopwatch.GetTimestamp();
        string output = await ManagedProcess.RunAsync(Timeout, RingmasterProcess.Executable, "demo");
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 5, 15);
        Assert.Matches("All [0-9]+ checks held", output);
        Assert.DoesNotContain("FAILED", output, StringComparison.Ordinal);
        Assert.Contains("the worker of pair 0 was restarted", output, StringComparison.Ordinal);
        Assert.Contains("worker #2 Running", output, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task On_a_terminal_it_draws_a_table()
    {
        await RequireNamespacesAsync();
        Require.Program("script", "bsdutils");
        string output = await ManagedProcess.RunAsync(
            Timeout, "script", "-qec", $"env TERM=xterm '{RingmasterProcess.Executable}' demo", "/dev/null");
        Assert.Contains("UDP echoes/s", output, StringComparison.Ordinal);
        Assert.Contains("checks held", output, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task Without_a_way_to_a_namespace_it_says_what_is_missing()
    {
        await RequireNamespacesAsync();
        Require.Program("setpriv", "util-linux");
        string powerless = $"exec setpriv --bounding-set=-all --inh-caps=-all '{RingmasterProcess.Executable}' demo";
        await using ManagedProcess demo = ManagedProcess.Start(
            "demo", "unshare", "--user", "--map-root-user", "sh", "-c",
            "echo 0 > /proc/sys/user/max_user_namespaces; " + powerless);
        Assert.Equal(1, await demo.ExitAsync(Timeout));
        Assert.Contains("CAP_SYS_ADMIN", demo.Output, StringComparison.Ordinal);
        Assert.Contains("sudo ringmaster demo", demo.Output, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task A_signal_ends_it_early()
    {
        await RequireNamespacesAsync();
        await using ManagedProcess demo = ManagedProcess.Start("demo", RingmasterProcess.Executable, "demo");
        await demo.LineAsync("worker #1 Running", Timeout);
        demo.Terminate();
        Assert.Equal(1, await demo.ExitAsync(TimeSpan.FromSeconds(5)));
        Assert.Contains("interrupted", demo.Output, StringComparison.Ordinal);
    }

    private static async Task RequireNamespacesAsync()
    {
        Require.Present(File.Exists("/dev/net/tun"), "/dev/net/tun is missing: `modprobe tun`");
        Require.Program("unshare", "util-linux");
        await using ManagedProcess probe = ManagedProcess.Start("unshare", "unshare", "--map-root-user", "--net", "true");
        bool allowed = await probe.ExitAsync(Timeout) == 0;
        Require.Present(
            allowed, "user namespaces are not allowed: run as root, or `sysctl -w kernel.unprivileged_userns_clone=1`");
    }
}
