using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Ringmaster.Native.Tap;

/// <summary>
/// An interface's address together with the length of its network's prefix, as in <c>192.0.2.1/24</c>. Unlike
/// <see cref="IPNetwork"/> it keeps the host's bits.
/// </summary>
/// <param name="Address">IPv4 or IPv6.</param>
/// <param name="Length">0 to 32, or 0 to 128.</param>
public readonly record struct IpPrefix(IPAddress Address, int Length) : ISpanParsable<IpPrefix>
{
    /// <summary>True for IPv6.</summary>
    public bool IsIpv6 => Address.AddressFamily == AddressFamily.InterNetworkV6;

    /// <summary>Reads <c>192.0.2.1/24</c> or <c>2001:db8::1/64</c>.</summary>
    /// <exception cref="FormatException">The text is no address with a prefix length.</exception>
    public static IpPrefix Parse(string text) => Parse(text.AsSpan(), null);

    /// <inheritdoc/>
    public static IpPrefix Parse(string s, IFormatProvider? provider) => Parse(s.AsSpan(), provider);

    /// <inheritdoc/>
    public static IpPrefix Parse(ReadOnlySpan<char> s, IFormatProvider? provider) => TryParse(s, provider, out IpPrefix result)
        ? result
        : throw new FormatException($"'{s}' is no address with a prefix length (such as 192.0.2.1/24 or 2001:db8::1/64)");

    /// <summary>Reads <c>192.0.2.1/24</c> or <c>2001:db8::1/64</c>.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out IpPrefix result) =>
        TryParse(text.AsSpan(), null, out result);

    /// <inheritdoc/>
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out IpPrefix result) =>
        TryParse(s.AsSpan(), provider, out result);

    /// <inheritdoc/>
    public static bool TryParse(ReadOnlySpan<char> s, IFormatProvider? provider, out IpPrefix result)
    {
        result = default;
        int slash = s.IndexOf('/');
        if (slash < 0 || !IPAddress.TryParse(s[..slash], out IPAddress? address))
        {
            return false;
        }

        // IPAddress takes "10" and "0x7f.1" for IPv4 addresses, and scope ids that mean nothing here.
        bool v6 = address.AddressFamily == AddressFamily.InterNetworkV6;
        bool plain = v6 ? s[..slash].IndexOfAny('%', '[') < 0 : s[..slash].SequenceEqual(address.ToString());
        if (!plain || !int.TryParse(s[(slash + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out int length))
        {
            return false;
        }

        result = new IpPrefix(address, length);
        return length <= (v6 ? 128 : 32);
    }

    /// <summary>For example <c>192.0.2.1/24</c>.</summary>
    public override string ToString() => $"{Address}/{Length}";
}
