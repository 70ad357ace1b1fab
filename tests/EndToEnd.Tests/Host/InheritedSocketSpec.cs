using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests.Host;

/// <summary>
/// Sockets that were open before the process was: <c>--fd=N</c>, and what a service manager passes. The part of systemd is played
/// by a shell, which puts the sockets at 3 and says its own process id before it becomes Ringmaster.
/// </summary>
public sealed class InheritedSocketSpec
{
    private static readonly TimeSpan Limit = HostFixture.Limit;

    [SkippableFact]
    public async Task An_inherited_connection_is_served_until_it_ends()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        using Socket listening = HostFixture.Listen(host.SocketPath);
        using Socket frontend = await HostFixture.ConnectAsync(host.SocketPath);
        using Socket accepted = await listening.AcceptAsync();
        int fd = HostFixture.MakeInheritable(accepted);

        ManagedProcess process = host.Start($"--fd={fd}");
        await process.LineAsync($"device net0: up, the front-end is connected as fd {fd}; ", Limit);
        await process.LineAsync("device net0: front-end connected, session 1", Limit);
        accepted.Dispose();
        await AskFeaturesAsync(frontend);

        frontend.Dispose();
        await process.LineAsync("device net0: its only connection has ended", Limit);
    }

    [SkippableFact]
    public async Task Sockets_of_a_service_manager_go_to_the_devices_of_their_names()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        using Socket first = HostFixture.Listen(host.PathOf("a"));
        using Socket second = HostFixture.Listen(host.PathOf("b"));
        ManagedProcess process = Activate(
            host, "net1:net0", [first, second],
            "-D", $"ringmaster.devices.net1.socket={host.PathOf("never")}",
            "-D", $"ringmaster.devices.net2.socket={host.PathOf("own")}");
        await process.LineAsync("device net1: up, front-ends come in at fd 3; ", Limit);
        await process.LineAsync("device net0: up, front-ends come in at fd 4; ", Limit);
        await process.LineAsync("device net2: up, front-ends come in at /", Limit);

        await ServedAsync(process, host.PathOf("a"), "net1");
        await ServedAsync(process, host.PathOf("b"), "net0");
        await ServedAsync(process, host.PathOf("own"), "net2");
        await ServedAsync(process, host.PathOf("a"), "net1");
        Assert.False(File.Exists(host.PathOf("never")));

        HostFixture.Signal(process, HostFixture.SIGTERM);
        Assert.Equal(0, await process.ExitAsync(Limit));
        Assert.True(File.Exists(host.PathOf("a")));
    }

    [SkippableTheory]
    [InlineData("ringmaster.socket")]
    [InlineData(null)]
    public async Task One_socket_goes_to_the_only_device_whatever_its_name(string? name)
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        using Socket listening = HostFixture.Listen(host.SocketPath);
        ManagedProcess process = Activate(host, name, [listening]);
        await process.LineAsync("device net0: up, front-ends come in at fd 3; ", Limit);
        await ServedAsync(process, host.SocketPath, "net0");
    }

    [SkippableFact]
    public async Task Sockets_that_were_meant_for_another_process_are_not_touched()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        using Socket listening = HostFixture.Listen(host.PathOf("other"));
        ManagedProcess process = host.StartScript(
            """LISTEN_PID=1 LISTEN_FDS=1 exec "$@" """, [listening], "-D", $"ringmaster.devices.net0.socket={host.SocketPath}");
        await process.LineAsync($"device net0: up, front-ends come in at {host.SocketPath}; ", Limit);
        await ServedAsync(process, host.SocketPath, "net0");
    }

    [SkippableFact]
    public async Task A_socket_without_a_device_is_an_error_that_names_it()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        using Socket first = HostFixture.Listen(host.PathOf("a"));
        using Socket second = HostFixture.Listen(host.PathOf("b"));
        ManagedProcess process = Activate(host, "net0:web", [first, second]);
        Assert.Equal(2, await process.ExitAsync(Limit));
        Assert.Contains(
            "socket 'web' of the service manager (fd 4) has no device; enabled are net0",
            process.Output,
            StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task A_service_manager_is_told_when_all_devices_are_up_and_when_the_process_ends()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        using var manager = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        manager.Bind(new UnixDomainSocketEndPoint(host.PathOf("notify")));
        manager.ReceiveTimeout = (int)Limit.TotalMilliseconds;

        ManagedProcess process = host.StartScript(
            $"""NOTIFY_SOCKET={host.PathOf("notify")} exec "$@" """, [], $"--socket-path={host.SocketPath}");
        Assert.Equal("READY=1", Receive(manager));
        using (await HostFixture.ConnectAsync(host.SocketPath))
        {
            HostFixture.Signal(process, HostFixture.SIGTERM);
            Assert.Equal("STOPPING=1", Receive(manager));
        }

        Assert.Equal(0, await process.ExitAsync(Limit));
    }

    [SkippableFact]
    public async Task A_service_manager_that_is_not_there_is_a_warning()
    {
        await using HostFixture host = await HostFixture.CreateAsync();
        ManagedProcess process = host.StartScript(
            $"""NOTIFY_SOCKET=@{Path.GetFileName(host.PathOf("x"))}-{Environment.ProcessId} exec "$@" """,
            [], $"--socket-path={host.SocketPath}");
        await process.LineAsync("the service manager at @x-\\d+ could not be told READY=1: ", Limit);
        await ServedAsync(process, host.SocketPath, "net0");
    }

    private static ManagedProcess Activate(HostFixture host, string? names, Socket[] sockets, params string[] arguments) =>
        host.StartScript(
            string.Create(
                CultureInfo.InvariantCulture,
                $"""{(names is null ? "" : $"LISTEN_FDNAMES={names} ")}LISTEN_PID=$$ LISTEN_FDS={sockets.Length} exec "$@" """),
            sockets,
            arguments);

    /// <summary>A front-end connects, is answered, and leaves.</summary>
    private static async Task ServedAsync(ManagedProcess process, string path, string device)
    {
        int mark = process.Mark;
        using (Socket frontend = await HostFixture.ConnectAsync(path))
        {
            await AskFeaturesAsync(frontend);
        }

        await process.LineAsync($"device {device}: front-end gone", Limit, mark);
    }

    /// <summary>
    /// GET_FEATURES: a header of three u32 (request 1, version 1, no payload), answered with a u64 behind such a header.
    /// </summary>
    private static async Task AskFeaturesAsync(Socket frontend)
    {
        byte[] request = [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        await frontend.SendAsync(request);
        byte[] reply = new byte[20];
        using var limit = new CancellationTokenSource(Limit);
        int length = await frontend.ReceiveAsync(reply, limit.Token);
        Assert.Equal(reply.Length, length);
    }

    private static string Receive(Socket manager)
    {
        byte[] datagram = new byte[256];
        return Encoding.UTF8.GetString(datagram, 0, manager.Receive(datagram));
    }
}
