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
