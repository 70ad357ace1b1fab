using Ringmaster.Native.Driver;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// A back-end in a namespace of its own: for each test, where their class derives from this, or for all tests of a class, where
/// the class's fixture does. It is started by a test that has asked for what it needs, so that a missing requirement skips
/// instead of failing.
/// </summary>
public abstract class BackendFixture : IAsyncLifetime
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(10);

    private TestNamespace? _network;
    private IBackend? _backend;

    internal TestNamespace Network => _network ?? throw NotStarted();

    internal IBackend Backend => _backend ?? throw NotStarted();

    /// <inheritdoc/>
    public Task InitializeAsync() => Task.CompletedTask;

    /// <inheritdoc/>
    public virtual async Task DisposeAsync()
    {
        await StopAsync();
        if (_network is not null)
        {
            await _network.DisposeAsync();
        }
    }

    /// <summary>Starts the back-end, in the place of one that runs already.</summary>
    private protected async Task StartAsync(BackendOptions options, bool ipv6 = false)
    {
        Require.Root();
        await StopAsync();
        _network ??= await TestNamespace.CreateAsync(ipv6);
        _backend = await Backends.StartAsync(_network, options);
    }

    /// <summary>The host's side of the TAP.</summary>
    internal PacketSocket OpenHost(bool headers = false) => PacketSocket.Open(Network, Backend.Tap, headers: headers);

    /// <summary>What the kernel has counted at the TAP.</summary>
    internal InterfaceCounters Counters() =>
        Network.CountersOf(Backend.Tap) ?? throw new InvalidOperationException($"{Backend.Tap} is gone");

    /// <summary>Our own front-end and driver, started.</summary>
    internal VirtioNetDriver Connect(VirtioNetOptions options, GuestRam? ram = null) =>
        VirtioNetDriver.Start(ConnectClient(), options, ram);

    /// <summary>The same up to where the rings would be started.</summary>
    internal VirtioNetDriver Prepare(VirtioNetOptions options, GuestRam? ram = null) =>
        VirtioNetDriver.Prepare(ConnectClient(), options, ram);

    /// <summary>A front-end that has said nothing yet.</summary>
    internal FrontendClient ConnectClient() => FrontendClient.Connect(Backend.Socket, ConnectTimeout);

    private async Task StopAsync()
    {
        if (_backend is not null)
        {
            await _backend.DisposeAsync();
            _backend = null;
        }
    }

    private static InvalidOperationException NotStarted() => new("the back-end has not been started");
}
