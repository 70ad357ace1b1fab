using System.Globalization;

namespace Ringmaster.Bench.Compare.Measuring;

/// <summary>Which way frames go.</summary>
internal enum Direction
{
    GuestToTap,
    TapToGuest,
}

/// <summary>To whom frames from the guest go, and of how many flows they are.</summary>
internal enum Flows
{
    /// <summary>Several in turn, to a station that is not there.</summary>
    Several,

    /// <summary>One, to a station that is not there.</summary>
    One,

    /// <summary>One, to a socket of the host that nobody reads: the kernel counts datagrams with and without room.</summary>
    OneToSocket,
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

    /// <summary>What merging frames of one flow is measured with.</summary>
    internal static IReadOnlyList<Workload> OfOneFlow { get; } =
    [
        new(Direction.GuestToTap, 64) { Flows = Flows.One },
        new(Direction.GuestToTap, 1500) { Flows = Flows.One },
        new(Direction.GuestToTap, 64) { Flows = Flows.OneToSocket },
    ];

    /// <summary>Where frames from the guest go.</summary>
    internal Flows Flows { get; init; }

    /// <summary>Short and stable: the key in result files.</summary>
    internal string Id => Prefix + Size;

    /// <summary>Which way, in words.</summary>
    internal string Way => (Direction, Flows) switch
    {
        (Direction.TapToGuest, _) => "TAP to guest",
        (_, Flows.Several) => "Guest to TAP",
        (_, Flows.One) => "Guest to TAP, one flow",
        _ => "Guest to a socket of the host, one flow",
    };

    /// <summary>"64", "1500" or "gso".</summary>
    internal string Size => Gso ? "gso" : FrameSize.ToString(CultureInfo.InvariantCulture);

    private string Prefix => (Direction, Flows) switch
    {
        (Direction.TapToGuest, _) => "tap-to-guest/",
        (_, Flows.Several) => "guest-to-tap/",
        (_, Flows.One) => "one-flow/",
        _ => "one-flow-to-socket/",
    };
}
