using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>A guest that has just booted, with every ring feature that QEMU offers by default.</summary>
public sealed class GuestSpec(GuestSpec.Fresh guest) : GuestChecks(guest), IClassFixture<GuestSpec.Fresh>
{
    public sealed class Fresh : ServedGuest;
}

/// <summary>
/// The same guest after a reboot: its rings were stopped, its memory map was built anew, its driver started again.
/// </summary>
public sealed class RebootedGuestSpec(RebootedGuestSpec.Rebooted guest)
    : GuestChecks(guest), IClassFixture<RebootedGuestSpec.Rebooted>
{
    public sealed class Rebooted : ServedGuest
    {
        internal override async Task PrepareAsync(QemuGuest guest)
        {
            await ConfigureAsync(guest);
            await IperfResult.RunAsync(Backend.Namespace, GuestAddress);
            await guest.RebootAsync();
            await ConfigureAsync(guest);
        }
    }
}

/// <summary>Rings without indirect descriptors, event index and mergeable buffers: the oldest way of doing it.</summary>
public sealed class PlainRingGuestSpec(PlainRingGuestSpec.Plain guest)
    : GuestChecks(guest), IClassFixture<PlainRingGuestSpec.Plain>
{
    public sealed class Plain : ServedGuest
    {
        internal override QemuOptions Card => new()
        {
            DeviceProperties = ["mrg_rxbuf=off", "indirect_desc=off", "event_idx=off"],
        };
    }
}

/// <summary>Packed rings, as Linux drives them.</summary>
public sealed class PackedRingGuestSpec(PackedRingGuestSpec.Packed guest)
    : GuestChecks(guest), IClassFixture<PackedRingGuestSpec.Packed>
{
    public sealed class Packed : ServedGuest
    {
        internal override QemuOptions Card => new() { DeviceProperties = ["packed=on"] };
    }
}

/// <summary>An MTU of 9000, which the device tells the guest.</summary>
public sealed class JumboGuestSpec(JumboGuestSpec.Jumbo guest) : GuestChecks(guest), IClassFixture<JumboGuestSpec.Jumbo>
{
    [SkippableFact]
    public async Task The_guest_has_taken_the_MTU_of_the_device()
    {
        QemuGuest booted = await guest.GuestAsync();
        Assert.Equal("9000", await booted.MustRunAsync("cat /sys/class/net/eth0/mtu"));
    }

    public sealed class Jumbo : ServedGuest
    {
        internal override QemuOptions Card => new() { DeviceProperties = ["host_mtu=9000"] };

        internal override int Mtu => 9000;
    }
}
