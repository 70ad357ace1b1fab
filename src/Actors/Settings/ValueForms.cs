using System.Globalization;
using System.Text;
using System.Text.Json;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Settings;

/// <summary>The kinds of values that HOCON.conf knows.</summary>
internal static class ValueForms
{
    /// <summary>What stands for "not set" where that is allowed.</summary>
    internal const string None = "none";

    /// <summary>What leaves a choice to Ringmaster.</summary>
    internal const string Auto = "auto";

    // sizeof(sockaddr_un.sun_path) less the terminating zero.
    private const int MaxSocketPath = 107;

    // IFNAMSIZ less the terminating zero.
    private const int MaxInterfaceName = 15;

    private static readonly string InterfaceNameAllowed =
        $"an interface name of 1 to {MaxInterfaceName} bytes without blanks, '/' and ':'";

    private static readonly (string Name, double Microseconds)[] Units =
        [("us", 1), ("ms", 1e3), ("s", 1e6), ("m", 60e6), ("h", 3600e6)];

    internal static ValueForm<bool> Switch { get; } = new("on or off", TrySwitch);

    internal static ValueForm<MacAddress> Mac { get; } =
        new("a unicast MAC address in quotes, such as \"02:00:00:00:00:01\"", TryMac);

    internal static ValueForm<IpPrefix> Prefix { get; } =
        new("an IP address with a prefix length in quotes, such as \"192.0.2.1/24\" or \"fd00::1/64\"", IpPrefix.TryParse);

    internal static ValueForm<string> SocketPath { get; } =
        new($"a path of 1 to {MaxSocketPath} bytes", TrySocketPath);

    internal static ValueForm<string> InterfaceName { get; } =
        new(InterfaceNameAllowed, TryInterfaceName);

    internal static ValueForm<string> TapName { get; } =
        new($"{InterfaceNameAllowed}; %d once for a number by the kernel", TryTapName);

    internal static ValueForm<string> Namespace { get; } =
        new("the name of a network namespace, or an absolute path to one", TryNamespace);

    internal static ValueForm<int> Integer(int least, int most) => new(
        $"a whole number from {least} to {most}",
        (string text, out int value) => TryInteger(text, out value) && value >= least && value <= most);

    internal static ValueForm<int> PowerOfTwo(int least, int most) => new(
        $"a power of two from {least} to {most}",
        (string text, out int value) => TryInteger(text, out value) && value >= least && value <= most && int.IsPow2(value));

    /// <param name="least">The shortest.</param>
    /// <param name="most">The longest.</param>
    /// <param name="bareUnit">The unit of a number without one; null = it must have one, unless it is 0.</param>
    internal static ValueForm<TimeSpan> Duration(TimeSpan least, TimeSpan most, string? bareUnit = null)
    {
        string bare = bareUnit is null ? "" : $"; {bareUnit} when none is given";
        return new ValueForm<TimeSpan>(
            $"a time from {Text(least)} to {Text(most)} (units: us, ms, s, m, h{bare})",
            (string text, out TimeSpan value) => TryDuration(text, bareUnit, out value) && value >= least && value <= most);
    }

    /// <param name="most">The longest.</param>
    internal static ValueForm<BusyPoll> BusyPoll(TimeSpan most)
    {
        ValueForm<TimeSpan> time = Duration(TimeSpan.Zero, most, bareUnit: "us");
        return new ValueForm<BusyPoll>(
            $"{Auto}, or {time.Allowed}",
            (string text, out BusyPoll value) =>
            {
                bool isTime = time.TryParse(text, out TimeSpan limit);
                value = isTime ? new BusyPoll(limit) : Native.Worker.BusyPoll.Auto;
                return isTime || text == Auto;
            });
    }

    /// <summary>One of an enum's names, in kebab-case.</summary>
    internal static ValueForm<T> OneOf<T>()
        where T : struct, Enum
    {
        var names = Enum.GetValues<T>().ToDictionary(Text, value => value, StringComparer.Ordinal);
        return new ValueForm<T>($"one of {string.Join(", ", names.Keys)}", names.TryGetValue);
    }

    /// <summary>The same, or <c>none</c> for null.</summary>
    internal static ValueForm<T?> OrNone<T>(this ValueForm<T> form)
        where T : struct => new(
            $"{None}, or {form.Allowed}",
            (string text, out T? value) =>
            {
                bool ok = form.TryParse(text, out T inner);
                value = ok ? inner : null;
                return ok || text == None;
            });

    /// <inheritdoc cref="OrNone{T}(ValueForm{T})"/>
    internal static ValueForm<string?> NameOrNone(this ValueForm<string> form) => new(
        $"{None}, or {form.Allowed}",
        (string text, out string? value) =>
        {
            value = null;
            return text == None || form.TryParse(text, out value);
        });

    internal static string Text<T>(T value)
        where T : struct, Enum => JsonNamingPolicy.KebabCaseLower.ConvertName(value.ToString());

    internal static string Text(BusyPoll value) => value == Native.Worker.BusyPoll.Auto ? Auto : Text(value.Limit);

    /// <summary>A time in the largest unit that gives a whole number.</summary>
    internal static string Text(TimeSpan value)
    {
        double microseconds = value.TotalMicroseconds;
        (string name, double factor) = Units.Last(unit => IsWholeNumber(microseconds, unit.Microseconds));
        return string.Create(CultureInfo.InvariantCulture, $"{microseconds / factor}{name}");
    }

    private static bool IsWholeNumber(double microseconds, double unit) =>
        unit == 1 || (microseconds >= unit && microseconds % unit == 0);

    private static bool TrySwitch(string text, out bool value)
    {
        value = text is "on" or "true" or "yes";
        return value || text is "off" or "false" or "no";
    }

    private static bool TryMac(string text, out MacAddress value) =>
        MacAddress.TryParse(text, out value) && !value.IsMulticast && !value.IsZero;

    private static bool TryInteger(string text, out int value) =>
        int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value);

    private static bool TryDuration(string text, string? bareUnit, out TimeSpan value)
    {
        value = default;
        int digits = text.TakeWhile(c => char.IsAsciiDigit(c) || c == '.').Count();
        string unit = text[digits..].Trim();
        if (!double.TryParse(text[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number))
        {
            return false;
        }

        unit = unit.Length == 0 ? bareUnit ?? (number == 0 ? "us" : "") : unit;
        double factor = Units.FirstOrDefault(known => known.Name == unit).Microseconds;
        // A day is beyond every range, and keeps the conversion from overflowing.
        if (factor == 0 || number * factor > TimeSpan.MicrosecondsPerDay)
        {
            return false;
        }

        value = TimeSpan.FromMicroseconds(number * factor);
        return true;
    }

    private static bool TrySocketPath(string text, out string value)
    {
        value = text;
        return Encoding.UTF8.GetByteCount(text) is > 0 and <= MaxSocketPath && !text.Contains('\0');
    }

    private static bool TryInterfaceName(string text, out string value)
    {
        value = text;
        return Encoding.UTF8.GetByteCount(text) is > 0 and <= MaxInterfaceName
            && text is not ("." or ".." or None)
            && !text.Any(c => char.IsWhiteSpace(c) || char.IsControl(c) || c is '/' or ':' or '%');
    }

    private static bool TryTapName(string text, out string value)
    {
        value = text;
        int number = text.IndexOf("%d", StringComparison.Ordinal);
        return TryInterfaceName(number < 0 ? text : text.Remove(number, 2).Insert(number, "0"), out _);
    }

    private static bool TryNamespace(string text, out string value)
    {
        value = text;
        return text.Length > 0 && text is not ("." or "..") && !text.Contains('\0') && (text[0] == '/' || !text.Contains('/'));
    }
}
