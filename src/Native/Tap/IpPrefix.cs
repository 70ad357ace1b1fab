using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Ringmaster.Native.Tap;

/// <summary>An interface's IP address and how many leading bits of it name the network, as in <c>192.0.2.1/24</c>.</summary>
/// <param name="Address">IPv4 or IPv6; host bits are kept.</param>
/// <param name="Length">0 to 32, or 0 to 128.</param>
public readonly record struct IpPrefix(IPAddress Address, int Length)
{
    /// <summary>Reads <c>ADDRESS/LENGTH</c>.</summary>
    /// <exception cref="FormatException">The text is not of that form.</exception>
    public static IpPrefix Parse(string text) =>
        TryParse(text, out IpPrefix prefix) ? prefix : throw new FormatException($"'{text}' is not an address with a prefix such as 192.0.2.1/24.");

    /// <summary>Like <see cref="Parse"/>; false where it would throw.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out IpPrefix prefix)
    {
        prefix = default;
        string[] parts = text?.Split('/') ?? [];
        if (parts.Length != 2
            || !IPAddress.TryParse(parts[0], out IPAddress? address)
            || !int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int length))
        {
            return false;
        }

        bool v4 = address.AddressFamily == AddressFamily.InterNetwork;
        // IPAddress takes "10.1" for 10.0.0.1; an address with three dots or a colon is meant as written.
        if (length > (v4 ? 32 : 128) || (v4 && parts[0].Count(c => c == '.') != 3))
        {
            return false;
        }

        prefix = new IpPrefix(address, length);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Address}/{Length}");
}
