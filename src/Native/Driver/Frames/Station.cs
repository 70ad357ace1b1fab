using System.Buffers.Binary;
using System.Net;
using Ringmaster.Native.Tap;

namespace Ringmaster.Native.Driver.Frames;

/// <summary>One end of a link: its Ethernet and IPv4 addresses.</summary>
/// <param name="Mac">Ethernet address.</param>
/// <param name="Ip">IPv4 address, the first byte most significant.</param>
public readonly record struct Station(MacAddress Mac, uint Ip)
{
    /// <summary>An IPv4 address as a number, the first byte most significant.</summary>
    /// <exception cref="ArgumentException">It is no IPv4 address.</exception>
    public static uint ToNumber(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[4];
        return address.TryWriteBytes(bytes, out int written) && written == 4
            ? BinaryPrimitives.ReadUInt32BigEndian(bytes)
            : throw new ArgumentException($"{address} is no IPv4 address.", nameof(address));
    }

    /// <summary>The reverse of <see cref="ToNumber"/>.</summary>
    public static IPAddress ToAddress(uint ip)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, ip);
        return new IPAddress(bytes);
    }
}
