using System.Text;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Tap;

/// <summary>Refuses options that cannot work, before anything is touched, with more to say than the kernel's EINVAL.</summary>
internal static class TapOptionsCheck
{
    /// <exception cref="ArgumentException">The options make no sense.</exception>
    internal static void Check(TapOptions options)
    {
        if (NameError(options.Name) is { } error)
        {
            throw new ArgumentException($"'{options.Name}' is no name for an interface: {error}", nameof(options));
        }

        if (options.Queues is < 1 or > TapOptions.MaxQueues)
        {
            string range = $"1 to {TapOptions.MaxQueues} queues";
            throw new ArgumentException($"{options.Name}: {range}, not {options.Queues}", nameof(options));
        }

        if (options.HostMac is { } mac && (mac.IsMulticast || mac.IsZero))
        {
            throw new ArgumentException($"{options.Name}: no interface can have the address {mac}", nameof(options));
        }
    }

    /// <summary>Refuses an interface that is there already and cannot be taken over.</summary>
    /// <exception cref="LinuxException">EBUSY: somebody has it open; EEXIST: it is something else.</exception>
    internal static void CheckExisting(TapOptions options, LinkInfo? existing)
    {
        string operation = $"open TAP {options.Name}";
        if (existing is { Kind: not "tun" } or { Tun.IsTap: false })
        {
            throw new LinuxException(operation, Errno.EEXIST, "the interface exists and is no TAP");
        }

        if (existing is { Tun.Queues: > 0 })
        {
            throw new LinuxException(operation, Errno.EBUSY, "another process has it open");
        }

        if (existing is { Tun.MultiQueue: false } && options.Queues > 1)
        {
            throw new LinuxException(operation, Errno.EEXIST, $"it was made with one queue, {options.Queues} are wanted");
        }
    }

    private static string? NameError(string name)
    {
        if (Encoding.UTF8.GetByteCount(name) > TapOptions.MaxNameLength)
        {
            return $"it has more than {TapOptions.MaxNameLength} bytes";
        }

        bool plain = !name.Any(c => c is '/' or ':' or '\0' || char.IsWhiteSpace(c)) && name is not ("." or "..");
        bool pattern = name.Replace("%d", null, StringComparison.Ordinal).Contains('%');
        return plain && !pattern ? null : "no '/', ':', white space or '%' (but for one %d) may be in it";
    }
}
