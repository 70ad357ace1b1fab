namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// A back-end and a guest that is connected and has its addresses, made by the first test that asks for it: for all tests of a
/// class, where its fixture derives from this, or for each test, where their class does.
/// </summary>
public abstract class ServedGuest : BackendFixture
{
    internal const string HostAddress = "10.77.0.1";
    internal const string GuestAddress = "10.77.0.2";
    internal const string HostMac = "02:00:00:00:77:01";
    internal const string HostAddress6 = "fd77::1";
    internal const string GuestAddress6 = "fd77::2";

    private QemuGuest? _guest;
    private Task<QemuGuest>? _boot;

    /// <summary>The guest's card.</summary>
    internal virtual QemuOptions Card => new();

    /// <summary>Further keys of the device; Ringmaster alone.</summary>
    internal virtual IReadOnlyList<string> Keys => [];

    /// <summary>The device's MTU.</summary>
    internal virtual int Mtu => 1500;

    /// <inheritdoc/>
    public override async Task DisposeAsync()
    {
        if (_guest is not null)
        {
            await _guest.DisposeAsync();
        }

        await base.DisposeAsync();
    }

    /// <summary>The guest; booted by the first call. What fails that call fails every later one, at once.</summary>
    internal Task<QemuGuest> GuestAsync()
    {
        Require.Root();
        Require.Program("qemu-system-x86_64", "qemu-system-x86");
        GuestImage.RequireTools();
        return _boot ??= BootAsync();
    }

    /// <summary>Gives the guest its addresses and starts its iperf3 server.</summary>
    internal static async Task ConfigureAsync(QemuGuest guest)
    {
        await guest.MustRunAsync("echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad; ip link set eth0 up");
        await guest.MustRunAsync($"ip addr add {GuestAddress}/24 dev eth0 && ip -6 addr add {GuestAddress6}/64 dev eth0");

        // One server for each client, for a server that has seen a client break off may end.
        await guest.MustRunAsync("while :; do iperf3 --server --one-off; done > /dev/null 2>&1 &");
    }

    /// <summary>What is done to a guest that has just booted, before the tests.</summary>
    internal virtual Task PrepareAsync(QemuGuest guest) => ConfigureAsync(guest);

    private async Task<QemuGuest> BootAsync()
    {
        BackendOptions options = new()
        {
            QueuePairs = Card.Queues,
            Addresses = [HostAddress + "/24", HostAddress6 + "/64"],
            HostMac = HostMac,
            AccessPlatform = Card.Iommu,
            Keys = Keys,
            Mtu = Mtu == 1500 ? null : Mtu,
        };
        await StartAsync(options, ipv6: true);
        _guest = await QemuGuest.BootAsync(Backend, Card);
        await PrepareAsync(_guest);
        return _guest;
    }
}
