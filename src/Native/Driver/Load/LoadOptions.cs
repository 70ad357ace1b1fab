using System.Net;

namespace Ringmaster.Native.Driver.Load;

/// <summary>Which way the frames go.</summary>
public enum LoadMode
{
    /// <summary>The guest sends.</summary>
    Tx,

    /// <summary>The guest receives what somebody else sends.</summary>
    Rx,

    /// <summary>The guest sends and expects every frame back.</summary>
    Echo,
}

/// <summary>What the load generator is to do.</summary>
public sealed record LoadOptions
{
    /// <summary>The shortest frame: headers, sequence number and time of sending.</summary>
    public const int MinFrameSize = 60;

    /// <summary>The longest frame: an IPv4 packet of 65535 bytes behind an Ethernet header.</summary>
    public const int MaxFrameSize = 65549;

    /// <summary>The direction.</summary>
    public LoadMode Mode { get; init; } = LoadMode.Tx;

    /// <summary>Bytes of a frame, without virtio header and checksum: 60 to 65549.</summary>
    public int FrameSize { get; init; } = MinFrameSize;

    /// <summary>How long.</summary>
    public TimeSpan Duration { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long the same is done before, and not measured: code gets compiled, caches fill.</summary>
    public TimeSpan WarmUp { get; init; }

    /// <summary>Tx: how many flows the frames belong to, in turn.</summary>
    public int Flows { get; init; } = 16;

    /// <summary>Tx, and what is injected: true = the frames are unsegmented TCP (GSO), false = UDP.</summary>
    public bool Gso { get; init; }

    /// <summary>
    /// Rx: the interface, in the process's own network namespace, into which each pair's thread sends what it then receives;
    /// null = somebody else sends.
    /// </summary>
    public string? Inject { get; init; }

    /// <summary>Echo: how many frames of a pair may be under way at a time.</summary>
    public int Window { get; init; } = 32;

    /// <summary>Echo: how long a frame may be under way before it counts as lost.</summary>
    public TimeSpan LostAfter { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>True: the driver's threads look for work all the time; false: they sleep when there is none.</summary>
    public bool Polling { get; init; }

    /// <summary>
    /// Echo: whom to ping. Null = the frames are UDP to nobody and something on the other side turns them round (DPDK
    /// testpmd in mode macswap or io); else they are ICMP echo requests to this address, found by ARP.
    /// </summary>
    public IPAddress? Target { get; init; }

    /// <summary>The guest's own address when there is a <see cref="Target"/>.</summary>
    public IPAddress? Source { get; init; }
}

/// <summary>What a run showed.</summary>
/// <param name="Mode">The direction.</param>
/// <param name="Pairs">Queue pairs.</param>
/// <param name="FrameSize">Bytes of a frame.</param>
/// <param name="Seconds">How long it was measured.</param>
/// <param name="Sent">Frames that the device took from the guest.</param>
/// <param name="Received">Frames that the device gave to the guest; in echo mode those that came back.</param>
/// <param name="SentBytes">Their bytes.</param>
/// <param name="ReceivedBytes">Their bytes.</param>
/// <param name="Lost">Echo mode: frames that did not come back; null in other modes, where nobody can know.</param>
/// <param name="RoundTrip">Echo mode: how long frames were under way; else null.</param>
public sealed record LoadResult(
    LoadMode Mode,
    int Pairs,
    int FrameSize,
    double Seconds,
    long Sent,
    long Received,
    long SentBytes,
    long ReceivedBytes,
    long? Lost,
    RoundTrip? RoundTrip)
{
    /// <summary>Frames a second in the direction that is measured; for echo those that came back.</summary>
    public double FramesPerSecond => (Mode == LoadMode.Tx ? Sent : Received) / Seconds;

    /// <summary>Bits a second of those frames.</summary>
    public double BitsPerSecond => (Mode == LoadMode.Tx ? SentBytes : ReceivedBytes) * 8 / Seconds;
}

/// <summary>Round-trip times, in microseconds.</summary>
/// <param name="Median">Half are not longer.</param>
/// <param name="P90">90 % are not longer.</param>
/// <param name="P99">99 % are not longer.</param>
/// <param name="P999">99.9 % are not longer.</param>
/// <param name="Maximum">The longest.</param>
public sealed record RoundTrip(double Median, double P90, double P99, double P999, double Maximum);
