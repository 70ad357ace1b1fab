using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;

namespace Ringmaster.Native.Tap;

/// <summary>A 48-bit Ethernet address. The default value is 00:00:00:00:00:00.</summary>
public readonly record struct MacAddress
{
    /// <summary>Bytes on the wire.</summary>
    public const int Size = 6;

    // The first byte on the wire is the highest of the six.
    private readonly ulong _value;

    /// <summary>Takes the six bytes in the order of the wire.</summary>
    /// <exception cref="ArgumentException">There are not exactly six.</exception>
    public MacAddress(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != Size)
        {
            throw new ArgumentException($"A MAC address has {Size} bytes, not {bytes.Length}.", nameof(bytes));
        }

        foreach (byte part in bytes)
        {
            _value = (_value << 8) | part;
        }
    }

    /// <summary>True for group addresses (bit 0 of the first byte); no card may have one of its own.</summary>
    public bool IsMulticast => ((_value >> 40) & 1) != 0;

    /// <summary>True for 00:00:00:00:00:00.</summary>
    public bool IsZero => _value == 0;

    /// <summary>A random address that is locally administered and not multicast.</summary>
    public static MacAddress Random()
    {
        Span<byte> bytes = stackalloc byte[Size];
        RandomNumberGenerator.Fill(bytes);
        bytes[0] = (byte)((bytes[0] & 0xfc) | 0x02);
        return new MacAddress(bytes);
    }

    /// <summary>Reads <c>02:00:00:00:00:01</c>: six pairs of hexadecimal digits with colons between them.</summary>
    /// <exception cref="FormatException">The text is not of that form.</exception>
    public static MacAddress Parse(string text) =>
        TryParse(text, out MacAddress address) ? address : throw new FormatException($"'{text}' is not a MAC address such as 02:00:00:00:00:01.");

    /// <summary>Like <see cref="Parse"/>; false where it would throw.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out MacAddress address)
    {
        address = default;
        string[] parts = text?.Split(':') ?? [];
        if (parts.Length != Size)
        {
            return false;
        }

        Span<byte> bytes = stackalloc byte[Size];
        for (int i = 0; i < Size; i++)
        {
            if (parts[i].Length != 2 || !byte.TryParse(parts[i], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out bytes[i]))
            {
                return false;
            }
        }

        address = new MacAddress(bytes);
        return true;
    }

    /// <summary>Writes the six bytes in the order of the wire.</summary>
    public void CopyTo(Span<byte> destination)
    {
        for (int i = 0; i < Size; i++)
        {
            destination[i] = (byte)(_value >> (8 * (Size - 1 - i)));
        }
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[Size];
        CopyTo(bytes);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{bytes[0]:x2}:{bytes[1]:x2}:{bytes[2]:x2}:{bytes[3]:x2}:{bytes[4]:x2}:{bytes[5]:x2}");
    }
}
