using System.Diagnostics;
using Ringmaster.Native.Driver.Frames;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;

namespace Ringmaster.Native.Driver.Load;

/// <summary>Moves frames over all pairs of a driver, one thread for each, and measures.</summary>
public static class LoadGenerator
{
    private static readonly TimeSpan ArpTimeout = TimeSpan.FromSeconds(2);
    private static readonly MacAddress GuestMac = new([0x02, 0x72, 0x6d, 0, 0, 0x01]);
    private static readonly MacAddress NobodysMac = new([0x02, 0x72, 0x6d, 0, 0, 0xff]);

    // TEST-NET-1 (RFC 5737): addresses that belong to nobody.
    private const uint NobodysIp = 0xc0000201;

    /// <summary>Runs to the end of its time, or until cancelled.</summary>
    /// <param name="driver">Started; nobody else may use its pairs meanwhile.</param>
    /// <param name="options">What to do.</param>
    /// <param name="cancellation">Ends the run early; what was measured until then is the result.</param>
    /// <exception cref="RingViolationException">The device broke the rules of a ring.</exception>
    /// <exception cref="FrontendException">The target does not answer ARP.</exception>
    /// <exception cref="LinuxException">What is to be injected cannot be.</exception>
    public static LoadResult Run(VirtioNetDriver driver, LoadOptions options, CancellationToken cancellation = default)
    {
        var guest = new Station(Mac(driver), options.Source is null ? NobodysIp + 1 : Station.ToNumber(options.Source));
        Station peer = options.Target is null
            ? new Station(NobodysMac, NobodysIp)
            : Resolve(driver.Pairs[0], guest, Station.ToNumber(options.Target));
        if (options.WarmUp > TimeSpan.Zero)
        {
            Measure(driver, options, guest, peer, options.WarmUp, cancellation);
        }

        return Measure(driver, options, guest, peer, options.Duration, cancellation);
    }

    private static LoadResult Measure(
        VirtioNetDriver driver,
        LoadOptions options,
        Station guest,
        Station peer,
        TimeSpan duration,
        CancellationToken cancellation)
    {
        PairLoad[] loads = PairLoad.CreateAll(driver.Pairs, options, guest, peer);
        using var run = new LoadRun(loads);
        double seconds = run.Measure(duration, cancellation);
        return Summarize(loads, options, seconds);
    }

    private static LoadResult Summarize(PairLoad[] loads, LoadOptions options, double seconds)
    {
        var times = new LatencyHistogram();
        Array.ForEach(loads, load => times.Add(load.Times));
        long sent = loads.Sum(load => load.Sent);
        long received = loads.Sum(load => load.Received);
        bool echo = options.Mode == LoadMode.Echo;
        return new LoadResult(
            options.Mode,
            loads.Length,
            options.FrameSize,
            seconds,
            sent,
            received,
            loads.Sum(load => load.SentBytes),
            loads.Sum(load => load.ReceivedBytes),
            echo ? loads.Sum(load => load.Lost) : null,
            echo ? Percentiles(times) : null);
    }

    private static RoundTrip Percentiles(LatencyHistogram times)
    {
        double Microseconds(long ticks) => ticks * 1e6 / Stopwatch.Frequency;
        return new RoundTrip(
            Microseconds(times.Percentile(50)),
            Microseconds(times.Percentile(90)),
            Microseconds(times.Percentile(99)),
            Microseconds(times.Percentile(99.9)),
            Microseconds(times.Maximum));
    }

    private static MacAddress Mac(VirtioNetDriver driver) =>
        driver.ReadMac() is { Length: MacAddress.Size } bytes ? new MacAddress(bytes) : GuestMac;

    private static Station Resolve(NetQueuePair pair, Station guest, uint wanted)
    {
        byte[] request = new byte[PacketWriter.ArpFrameSize];
        PacketWriter.ArpRequest(request, guest, wanted);
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < ArpTimeout)
        {
            pair.TrySend(request);
            pair.FlushTx();
            while (pair.WaitRx(TimeSpan.FromMilliseconds(200)))
            {
                while (pair.TryReceive(out var header, out ReadOnlySpan<byte> frame))
                {
                    Packet packet = Packet.Parse(frame, header);
                    if (packet.Kind == PacketKind.ArpReply && packet.From.Ip == wanted)
                    {
                        pair.FlushRx();
                        return packet.From;
                    }
                }

                pair.FlushRx();
            }
        }

        throw new FrontendException($"{Station.ToAddress(wanted)} does not answer ARP.");
    }
}
