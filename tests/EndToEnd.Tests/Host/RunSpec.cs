using System.Diagnostics;
using System.Net.Sockets;
using System.Text.Json;
using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests.Host;

/// <summary>The executable as a daemon: how it starts, what it refuses, how it ends.</summary>
public sealed class RunSpec
{
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(2);

    [SkippableTheory]
    [InlineData(HostFixture.SIGTERM, false)]
    [InlineData(HostFixture.SIGINT, false)]
    [InlineData(HostFixture.SIGTERM, true)]
    public async Task A_signal_stops_it_within_two_seconds_with_exit_code_0_and_without_its_socket_file(
        int signal, bool connected)
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        ManagedProcess process = await host.StartUpAsync();
        using Socket? frontend = connected ? await HostFixture.ConnectAsync(host.SocketPath) : null;
        if (connected)
        {
            await process.LineAsync("device net0: front-end connected", HostFixture.Limit);
        }

        var watch = Stopwatch.StartNew();
        HostFixture.Signal(process, signal);
        int exitCode = await process.ExitAsync(HostFixture.Limit);

        Assert.Equal(0, exitCode);
        Assert.InRange(watch.Elapsed, TimeSpan.Zero, StopLimit);
        Assert.False(File.Exists(host.SocketPath));

        // The kernel lets go of what an io_uring held a moment after the process has ended.
        await Eventually.EqualAsync(false, () => host.HasInterface("rm-net0"), StopLimit);
    }

    [SkippableFact]
    public async Task SIGUSR1_logs_how_each_device_and_each_pair_fares()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        ManagedProcess process = await host.StartUpAsync();
        int mark = process.Mark;

        HostFixture.Signal(process, HostFixture.SIGUSR1);

        await process.LineAsync("device net0: listening, link (up|down), 0 front-ends so far", HostFixture.Limit, mark);
        await process.LineAsync(
            "device net0 pair 1: .*, rx stopped, tx stopped: tx-frames 0, .*rx-starved 0, .*sleeps [0-9]+",
            HostFixture.Limit,
            mark);
        Assert.False(process.HasExited);
    }

    [SkippableTheory]
    [InlineData()]
    [InlineData("run")]
    public async Task The_sample_device_is_served_with_or_without_the_command(params string[] command)
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        ManagedProcess process = host.Start(
            [.. command, "-D", $"ringmaster.devices.net0.socket={host.PathOf("new/folder/x.sock")}"]);

        await process.LineAsync("device net0: up", HostFixture.Limit);

        using Socket frontend = await HostFixture.ConnectAsync(host.PathOf("new/folder/x.sock"));
        Assert.Contains("192.168.76.1/24", await host.InterfacesAsync(), StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task A_socket_file_that_nobody_listens_on_is_replaced()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        ManagedProcess killed = await host.StartUpAsync();
        await killed.KillAsync();
        Assert.True(File.Exists(host.SocketPath));

        await host.StartUpAsync();

        using Socket frontend = await HostFixture.ConnectAsync(host.SocketPath);
    }

    [SkippableFact]
    public async Task A_socket_that_somebody_listens_on_is_an_error_and_is_left_alone()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        using Socket other = HostFixture.Listen(host.SocketPath);

        ManagedProcess process = host.Start($"--socket-path={host.SocketPath}");

        Assert.Equal(1, await process.ExitAsync(HostFixture.Limit));
        Assert.Contains(host.SocketPath, process.Output, StringComparison.Ordinal);
        Assert.Contains("net0", process.Output, StringComparison.Ordinal);
        using Socket frontend = await HostFixture.ConnectAsync(host.SocketPath);
    }

    [SkippableFact]
    public async Task A_file_that_is_no_socket_is_an_error_and_is_left_alone()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        await File.WriteAllTextAsync(host.SocketPath, "precious");

        ManagedProcess process = host.Start($"--socket-path={host.SocketPath}");

        Assert.Equal(1, await process.ExitAsync(HostFixture.Limit));
        Assert.Equal("precious", await File.ReadAllTextAsync(host.SocketPath));
    }

    [SkippableFact]
    public async Task An_inherited_listening_socket_is_served_and_its_file_stays()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        using Socket listening = HostFixture.Listen(host.SocketPath);
        int fd = HostFixture.MakeInheritable(listening);

        ManagedProcess process = host.Start($"--fd={fd}");
        await process.LineAsync("device net0: up", HostFixture.Limit);
        using (await HostFixture.ConnectAsync(host.SocketPath))
        {
            await process.LineAsync("device net0: front-end connected", HostFixture.Limit);
        }

        HostFixture.Signal(process, HostFixture.SIGTERM);
        Assert.Equal(0, await process.ExitAsync(HostFixture.Limit));
        Assert.True(File.Exists(host.SocketPath));
    }

    [SkippableFact]
    public async Task A_number_that_is_no_open_descriptor_is_an_error()
    {
        await using HostFixture host = await HostFixture.CreateAsync();

        ManagedProcess process = host.Start("--fd=999");

        Assert.Equal(1, await process.ExitAsync(HostFixture.Limit));
        Assert.Contains("net0", process.Output, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task A_network_namespace_that_does_not_exist_is_an_error_that_names_it()
    {
        await using HostFixture host = await HostFixture.CreateAsync();

        ManagedProcess process = host.Start(
            $"--socket-path={host.SocketPath}", "-D", "ringmaster.devices.net0.tap.netns=no-such-namespace");

        Assert.Equal(1, await process.ExitAsync(HostFixture.Limit));
        Assert.Contains("net0", process.Output, StringComparison.Ordinal);
        Assert.Contains("no-such-namespace", process.Output, StringComparison.Ordinal);
        Assert.False(File.Exists(host.SocketPath));
    }

    [SkippableFact]
    public async Task SIGHUP_reads_the_configuration_again_and_touches_only_what_changed()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        (ManagedProcess process, string file) = await StartFromFileAsync(host);
        using Socket frontend = await HostFixture.ConnectAsync(host.SocketPath);
        await process.LineAsync("device net0: front-end connected", HostFixture.Limit);

        await File.AppendAllTextAsync(file, $"\nringmaster.devices.net1.socket = \"{host.PathOf("net1.sock")}\"");
        HostFixture.Signal(process, HostFixture.SIGHUP);
        await process.LineAsync("configuration read again: 1 added, 0 removed, 0 restarted", HostFixture.Limit);

        using Socket second = await HostFixture.ConnectAsync(host.PathOf("net1.sock"));
        Assert.DoesNotContain("front-end gone", process.Output, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task SIGTERM_does_not_wait_for_a_reload_under_way()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        (ManagedProcess process, string file) = await StartFromFileAsync(host);

        string device = $"{{ socket = \"{host.PathOf("net1.sock")}\", tap.netns = \"{host.MakeFifo("netns")}\" }}";
        await File.AppendAllTextAsync(file, $"\nringmaster.devices.net1 = {device}");
        HostFixture.Signal(process, HostFixture.SIGHUP);
        await process.LineAsync("reload: 1 devices", HostFixture.Limit);
        HostFixture.Signal(process, HostFixture.SIGTERM);

        Assert.Equal(0, await process.ExitAsync(HostFixture.Limit));
        Assert.False(File.Exists(host.SocketPath));
    }

    [SkippableFact]
    public async Task SIGHUP_with_a_configuration_that_cannot_be_used_changes_nothing()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        (ManagedProcess process, string file) = await StartFromFileAsync(host);

        await File.AppendAllTextAsync(file, "\nringmaster.devices.net0.mtu = 1");
        HostFixture.Signal(process, HostFixture.SIGHUP);
        await process.LineAsync(
            "the configuration was not read again: ringmaster.devices.net0.mtu: found '1'", HostFixture.Limit);

        using Socket frontend = await HostFixture.ConnectAsync(host.SocketPath);
    }

    [SkippableFact]
    public async Task Json_lines_are_objects_with_level_message_and_device()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        ManagedProcess process = await host.StartUpAsync("-D", "ringmaster.log.format=json");
        HostFixture.Signal(process, HostFixture.SIGTERM);
        await process.ExitAsync(HostFixture.Limit);

        JsonElement[] lines = [.. process.Output.Split('\n').Select(line => JsonDocument.Parse(line).RootElement)];

        Assert.All(lines, line => Assert.Matches("^(info|warning|error)$", line.GetProperty("level").GetString()));
        JsonElement up = Assert.Single(
            lines, line => line.GetProperty("message").GetString()!.StartsWith("device net0: up", StringComparison.Ordinal));
        Assert.Equal("net0", up.GetProperty("device").GetString());
    }

    [SkippableFact]
    public async Task Journal_lines_begin_with_their_syslog_level()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        ManagedProcess process = await host.StartUpAsync("-D", "ringmaster.log.format=journal");

        Assert.All(process.Output.Split('\n'), line => Assert.Matches("^<[3-7]>", line));
    }

    [SkippableFact]
    public async Task With_the_log_off_nothing_is_written()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        ManagedProcess process = host.Start($"--socket-path={host.SocketPath}", "-D", "ringmaster.log.level=off");
        await Eventually.EqualAsync(true, () => File.Exists(host.SocketPath), HostFixture.Limit);

        HostFixture.Signal(process, HostFixture.SIGTERM);

        Assert.Equal(0, await process.ExitAsync(HostFixture.Limit));
        Assert.Equal("", process.Output);
    }

    /// <summary>Starts it with a configuration file, to which more can be added, and waits until its device is up.</summary>
    private static async Task<(ManagedProcess Process, string File)> StartFromFileAsync(HostFixture host)
    {
        string file = host.PathOf("ringmaster.conf");
        await File.WriteAllTextAsync(file, $"ringmaster.devices.net0.socket = \"{host.SocketPath}\"");
        ManagedProcess process = host.Start("--config", file);
        await process.LineAsync("device net0: up", HostFixture.Limit);
        return (process, file);
    }
}
