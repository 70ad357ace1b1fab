using System.Buffers.Binary;
using System.Net;
using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests.Migration;

/// <summary>
/// The frames by which a switch learns where a guest is now, as another machine sees them.
/// </summary>
internal sealed class Announcement : IDisposable
{
    private const ushort Arp = 0x0806;
    private const ushort Rarp = 0x8035;
    private const ushort ReverseRequest = 3;
    private const int Header = 14;

    private readonly PacketSocket _socket;

    private Announcement(PacketSocket socket) => _socket = socket;

    /// <summary>Listens for the guest's own announcement: ARP that asks for the guest's address in the guest's name.</summary>
    internal static Announcement ByGuest(TestNamespace network) => new(PacketSocket.Open(network, TwoHosts.Bridge, Arp));

    /// <summary>Listens for the back-end's announcement: RARP in the name of the guest.</summary>
    internal static Announcement ByBackend(TestNamespace network) => new(PacketSocket.Open(network, TwoHosts.Bridge, Rarp));

    /// <summary>Fails when no announcement comes, or has come since it listens.</summary>
    internal void MustCome()
    {
        DateTime deadline = DateTime.UtcNow + MigratingGuest.Patience;
        while (_socket.Receive(deadline - DateTime.UtcNow) is { } frame)
        {
            if (IsByGuest(frame) || IsByBackend(frame))
            {
                return;
            }
        }

        Assert.Fail("the other machine saw no announcement of the guest");
    }

    public void Dispose() => _socket.Dispose();

    private static bool IsFromGuest(ReadOnlySpan<byte> frame, ushort protocol) =>
        Convert.ToHexString(frame[6..12]) == QemuGuest.Mac.Replace(":", "", StringComparison.Ordinal)
        && frame[..6].IndexOfAnyExcept((byte)0xff) < 0
        && BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) == protocol;

    /// <summary>Sender and target are the guest's IP address.</summary>
    private static bool IsByGuest(ReadOnlySpan<byte> frame)
    {
        byte[] address = IPAddress.Parse(ServedGuest.GuestAddress).GetAddressBytes();
        return IsFromGuest(frame, Arp)
            && frame.Slice(Header + 14, 4).SequenceEqual(address) && frame.Slice(Header + 24, 4).SequenceEqual(address);
    }

    /// <summary>Sender and target are the guest's MAC address.</summary>
    private static bool IsByBackend(ReadOnlySpan<byte> frame) =>
        IsFromGuest(frame, Rarp)
        && BinaryPrimitives.ReadUInt16BigEndian(frame[(Header + 6)..]) == ReverseRequest
        && frame.Slice(Header + 8, 6).SequenceEqual(frame[6..12]) && frame.Slice(Header + 18, 6).SequenceEqual(frame[6..12]);
}
