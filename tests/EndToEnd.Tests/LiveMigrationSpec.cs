using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;
using Ringmaster.EndToEnd.Tests.Support;
using static Ringmaster.EndToEnd.Tests.Support.ServedGuest;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>
/// A guest moves from one QEMU to another, each with a Ringmaster of its own in a network of its own; the two networks are one
/// Ethernet, as two machines on a switch are. A TCP stream goes on meanwhile, and what arrives is what was sent.
/// </summary>
public sealed class LiveMigrationSpec : IAsyncLifetime
{
    private const int Port = 5001;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);

    private readonly TemporaryFolder _folder = new();
    private readonly List<IAsyncDisposable> _owned = [];

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (IAsyncDisposable each in Enumerable.Reverse(_owned))
        {
            await each.DisposeAsync();
        }

        _folder.Dispose();
    }

    [SkippableFact]
    public async Task A_guest_migrates_there_and_back_and_its_TCP_stream_arrives_whole()
    {
        RequirePrograms();
        (TestNamespace left, TestNamespace right) = await JoinedNetworksAsync();
        IBackend first = await BackendAsync(left);
        IBackend second = await BackendAsync(right);
        string[] properties = [];
        QemuGuest guest = await QemuAsync(first, new QemuOptions { Monitor = _folder["m0"], DeviceProperties = properties });
        await ConfigureAsync(guest);
        using TcpListener listener = left.Inside(() => Listen());
        await guest.MustRunAsync($"(nc {HostAddress} {Port} | sha256sum > /tmp/sum; touch /tmp/done) >/dev/null 2>&1 &");
        using TcpClient stream = await listener.AcceptTcpClientAsync().WaitAsync(Timeout);
        using CancellationTokenSource enough = new();
        Task<string> sent = SendAsync(stream, enough.Token);

        QemuGuest there = await MigrateAsync("m0", second, properties, "m1");
        await AnswersAsync(left, second);
        QemuGuest back = await MigrateAsync("m1", first, properties, "m2");
        await AnswersAsync(left, first);

        await enough.CancelAsync();
        string expected = await sent.WaitAsync(Timeout);
        await back.MustRunAsync("for i in $(seq 100); do [ -e /tmp/done ] && break; sleep 0.1; done; [ -e /tmp/done ]");
        Assert.StartsWith(expected, await back.MustRunAsync("cat /tmp/sum"), StringComparison.OrdinalIgnoreCase);
        Assert.NotSame(there, back);
    }

    private static void RequirePrograms()
    {
        Require.Root();
        Backends.SkipForDpdk("the migration is Ringmaster's");
        Require.Program("qemu-system-x86_64", "qemu-system-x86");
        GuestImage.RequireTools();
    }

    private static async Task AnswersAsync(TestNamespace from, IBackend by)
    {
        IPStatus status = await Eventually.GetAsync(
            () => from.Ping(GuestAddress, TimeSpan.FromMilliseconds(200)), answer => answer == IPStatus.Success, Timeout);
        Assert.True(status == IPStatus.Success, $"the guest does not answer: {status}; ringmaster printed:\n{by.Process.Output}");
    }

    private static TcpListener Listen()
    {
        TcpListener listener = new(IPAddress.Parse(HostAddress), Port);
        listener.Start();
        return listener;
    }

    /// <summary>Sends noise, as fast as it is taken, until told to end; its hash.</summary>
    private static async Task<string> SendAsync(TcpClient stream, CancellationToken enough)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Random random = new(1);
        byte[] block = new byte[16 << 10];
        while (!enough.IsCancellationRequested)
        {
            random.NextBytes(block);
            hash.AppendData(block);
            await stream.GetStream().WriteAsync(block, CancellationToken.None);
        }

        stream.Client.Shutdown(SocketShutdown.Send);
        return Convert.ToHexString(hash.GetHashAndReset());
    }

    /// <summary>Two namespaces, each with a bridge, joined by a cable; the host's address is the left bridge's.</summary>
    private async Task<(TestNamespace Left, TestNamespace Right)> JoinedNetworksAsync()
    {
        TestNamespace left = Own(await TestNamespace.CreateAsync());
        TestNamespace right = Own(await TestNamespace.CreateAsync());
        await left.ConfigureAsync("link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", right.Name);
        foreach (TestNamespace each in new[] { left, right })
        {
            await each.ConfigureAsync("link", "add", "bridge0", "type", "bridge");
            await each.ConfigureAsync("link", "set", "cable", "master", "bridge0", "up");
            await each.ConfigureAsync("link", "set", "bridge0", "up");
        }

        await left.ConfigureAsync("addr", "add", HostAddress + "/24", "dev", "bridge0");
        return (left, right);
    }

    private async Task<IBackend> BackendAsync(TestNamespace network)
    {
        IBackend backend = Own(await Backends.StartAsync(network, new BackendOptions { QueuePairs = 2 }));
        await network.ConfigureAsync("link", "set", backend.Tap, "master", "bridge0", "up");
        return backend;
    }


    private async Task<QemuGuest> MigrateAsync(string from, IBackend to, string[] properties, string monitor)
    {
        string socket = _folder[monitor + "-in"];
        using QemuMonitor source = await QemuMonitor.ConnectAsync(_folder[from]);
        QemuGuest target = await QemuAsync(to, new QemuOptions
        {
            Monitor = _folder[monitor],
            Incoming = socket,
            DeviceProperties = properties,
        });
        await Eventually.EqualAsync(true, () => File.Exists(socket), Timeout);
        await source.RunAsync("migrate", new { uri = "unix:" + socket });
        string status = "";
        DateTime deadline = DateTime.UtcNow + Timeout;
        using PeriodicTimer tick = new(TimeSpan.FromMilliseconds(50));
        while (status is not ("completed" or "failed") && DateTime.UtcNow < deadline)
        {
            await tick.WaitForNextTickAsync();
            JsonElement answer = await source.RunAsync("query-migrate");
            status = answer.TryGetProperty("status", out JsonElement value) ? value.GetString()! : "";
        }

        Assert.Equal("completed", status);
        await source.RunAsync("quit");
        return target;
    }

    private async Task<QemuGuest> QemuAsync(IBackend backend, QemuOptions options) => Own(await QemuGuest.BootAsync(backend, options));

    private T Own<T>(T resource)
        where T : IAsyncDisposable
    {
        _owned.Add(resource);
        return resource;
    }
}
