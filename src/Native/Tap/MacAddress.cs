using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;

namespace Ringmaster.Native.Tap;

/// <summary>An Ethernet address: six bytes.</summary>
public readonly record struct MacAddress : ISpanParsable<MacAddress>
{
    /// <summary>Bytes of an address.</summary>
    public const int Size = 6;

    private const byte GroupBit = 0x01;
    private const byte LocalBit = 0x02;

    /// <summary>The six bytes, the first one most significant.</summary>
    private readonly ulong _value;

    /// <summary>Takes six bytes in the order in which they go over the wire.</summary>
    /// <exception cref="ArgumentException">There are not exactly six.</exception>
    public MacAddress(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != Size)
        {
            throw new ArgumentException($"a MAC address has {Size} bytes, not {bytes.Length}", nameof(bytes));
        }

        foreach (byte value in bytes)
        {
            _value = (_value << 8) | value;
        }
    }

    /// <summary>True for a multicast or broadcast address, which no interface can have.</summary>
    public bool IsMulticast => (this[0] & GroupBit) != 0;

    /// <summary>True for an address that no manufacturer gave out.</summary>
    public bool IsLocal => (this[0] & LocalBit) != 0;

    /// <summary>True for 00:00:00:00:00:00.</summary>
    public bool IsZero => _value == 0;

    /// <summary>One byte, 0 to 5 in wire order.</summary>
    public byte this[int index] => (byte)(_value >> (8 * (Size - 1 - index)));

    /// <summary>A random unicast address with the "locally administered" bit set.</summary>
    public static MacAddress Random()
    {
        Span<byte> bytes = stackalloc byte[Size];
        RandomNumberGenerator.Fill(bytes);
        bytes[0] = (byte)((bytes[0] & ~GroupBit) | LocalBit);
        return new MacAddress(bytes);
    }

    /// <summary>Writes the six bytes in wire order.</summary>
    public void CopyTo(Span<byte> destination)
    {
        for (int i = 0; i < Size; i++)
        {
            destination[i] = this[i];
        }
    }

    /// <summary>The six bytes in wire order.</summary>
    public byte[] ToArray()
    {
        byte[] bytes = new byte[Size];
        CopyTo(bytes);
        return bytes;
    }

    /// <summary>Reads <c>52:54:00:12:34:56</c>; hyphens do as well.</summary>
    /// <exception cref="FormatException">The text is no MAC address.</exception>
    public static MacAddress Parse(string text) => Parse(text.AsSpan(), null);

    /// <inheritdoc/>
    public static MacAddress Parse(string s, IFormatProvider? provider) => Parse(s.AsSpan(), provider);

    /// <inheritdoc/>
    public static MacAddress Parse(ReadOnlySpan<char> s, IFormatProvider? provider) =>
        TryParse(s, provider, out MacAddress result)
            ? result
            : throw new FormatException($"'{s}' is no MAC address (six hexadecimal bytes such as 52:54:00:12:34:56)");

    /// <summary>Reads <c>52:54:00:12:34:56</c>; hyphens do as well.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out MacAddress result) =>
        TryParse(text.AsSpan(), null, out result);

    /// <inheritdoc/>
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out MacAddress result) =>
        TryParse(s.AsSpan(), provider, out result);

    /// <inheritdoc/>
    public static bool TryParse(ReadOnlySpan<char> s, IFormatProvider? provider, out MacAddress result)
    {
        result = default;
        if (s.Length != (3 * Size) - 1 || s[2] is not (':' or '-'))
        {
            return false;
        }

        Span<byte> bytes = stackalloc byte[Size];
        for (int i = 0; i < Size; i++)
        {
            bool separated = i == 0 || s[(3 * i) - 1] == s[2];
            ReadOnlySpan<char> digits = s.Slice(3 * i, 2);
            if (!separated || !byte.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out bytes[i]))
            {
                return false;
            }
        }

        result = new MacAddress(bytes);
        return true;
    }

    /// <summary>For example <c>52:54:00:12:34:56</c>.</summary>
    public override string ToString() => $"{this[0]:x2}:{this[1]:x2}:{this[2]:x2}:{this[3]:x2}:{this[4]:x2}:{this[5]:x2}";
}
