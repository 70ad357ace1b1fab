using System.Globalization;

namespace Ringmaster.Bench.Compare.Measuring;

/// <summary>Which way frames go.</summary>
internal enum Direction
{
    GuestToTap,
    TapToGuest,
}

/// <summary>Frames of one size in one direction.</summary>
/// <param name="Direction">Which way.</param>
/// <param name="FrameSize">Bytes, without the virtio header.</param>
/// <param name="Gso">True: unsegmented TCP; false: UDP.</param>
internal sealed record Workload(Direction Direction, int FrameSize, bool Gso = false)
{
    /// <summary>45 full segments and their headers.</summary>
    private const int GsoFrame = 54 + (45 * 1448);

    /// <summary>All that the comparison runs, in this order.</summary>
    internal static IReadOnlyList<Workload> All { get; } =
    [
        .. new[] { Direction.GuestToTap, Direction.TapToGuest }.SelectMany(direction => new Workload[]
        {
            new(direction, 64), new(direction, 1500), new(direction, GsoFrame, Gso: true),
        }),
    ];

    /// <summary>Short and stable: the key in result files.</summary>
    internal string Id => (Direction == Direction.GuestToTap ? "guest-to-tap/" : "tap-to-guest/") + Size;

    /// <summary>"64", "1500" or "gso".</summary>
    internal string Size => Gso ? "gso" : FrameSize.ToString(CultureInfo.InvariantCulture);
}
