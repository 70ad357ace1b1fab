using System.Globalization;
using Ringmaster.Actors.Device;
using Ringmaster.Native.Worker;

namespace Ringmaster.Host.Demo;

/// <summary>One thing that the demo must show.</summary>
/// <param name="Claim">What must be so.</param>
/// <param name="Holds">Whether it is.</param>
/// <param name="Found">What was seen.</param>
internal sealed record DemoCheck(string Claim, bool Holds, string Found);

/// <summary>What happened to the worker that was made to fail.</summary>
/// <param name="Generation">Which worker it was.</param>
/// <param name="NextGeneration">Which one took its place; the same when none did.</param>
/// <param name="BackAfter">When datagrams came back over its pair again; null when they did not.</param>
internal sealed record WorkerFailure(long Generation, long NextGeneration, TimeSpan? BackAfter);

/// <summary>Judges the demo by what guest and host have seen.</summary>
internal static class DemoChecks
{
    private const int LargeFrame = 60_000;

    internal static IEnumerable<DemoCheck> OfHello(DemoGuest guest)
    {
        yield return new DemoCheck("the host answers ARP", guest.Host is not null, guest.Host?.Mac.ToString() ?? "no answer");
        yield return new DemoCheck(
            "the host answers pings",
            guest.PingsAnswered == DemoGuest.Pings,
            Text($"{guest.PingsAnswered} of {DemoGuest.Pings} with the right bytes"));
    }

    internal static IEnumerable<DemoCheck> OfTraffic(DemoStage stage, int failedPair)
    {
        DemoGuest guest = stage.Guest;
        for (int pair = 0; pair < guest.Udp.Count; pair++)
        {
            yield return OfUdp(guest.Udp[pair], stage.Hosts[pair], pair, mayLose: pair == failedPair);
            yield return OfTcp(guest.Tcp[pair], stage.Hosts[pair], pair);
        }

        int toHost = guest.Tcp.Max(connection => connection.LargestSent);
        int toGuest = guest.Tcp.Max(connection => connection.LargestReceived);
        yield return new DemoCheck(
            "frames of 64 KiB go both ways",
            toHost >= LargeFrame && toGuest >= LargeFrame,
            Text($"up to {toHost} and {toGuest} bytes"));
        long returned = stage.Driver.Pairs.Sum(pair => pair.Tx.Returned + pair.Rx.Returned);
        int open = stage.Driver.Pairs.Sum(pair => pair.Tx.Outstanding);
        yield return new DemoCheck(
            "every descriptor was returned once",
            guest.Fault is null && guest.Finished,
            guest.Fault?.Message ?? Text($"{returned:N0} chains came back, {open} transmits are still out"));
    }

    internal static IEnumerable<DemoCheck> OfFailure(
        DemoGuest guest, IReadOnlyList<WorkerHandle> workers, WorkerFailure failure, int failedPair)
    {
        yield return new DemoCheck(
            Text($"the worker of pair {failedPair} was restarted"),
            failure.NextGeneration > failure.Generation && failure.BackAfter is not null,
            failure.BackAfter is { } after
                ? Text($"traffic was back after {after.TotalMilliseconds:F0} ms, over worker #{failure.NextGeneration}")
                : "no traffic came back");
        foreach (WorkerHandle worker in workers.Where(worker => worker.Pair != failedPair))
        {
            long lost = guest.Udp[worker.Pair].Lost;
            long dropped = worker.Counters[WorkerCounter.TxDropped] + worker.Counters[WorkerCounter.RxDropped];
            yield return new DemoCheck(
                Text($"pair {worker.Pair} did not notice"),
                worker.Generation == 1 && lost == 0 && dropped == 0,
                Text($"{lost} datagrams lost, {dropped} frames dropped, still worker #{worker.Generation}"));
        }
    }

    private static DemoCheck OfUdp(GuestUdp flow, DemoHost host, int pair, bool mayLose) => new(
        Text($"UDP over pair {pair}, both ways"),
        flow.Returned > 0 && flow.Corrupt == 0 && flow.Duplicates == 0 && !host.Corrupt && (mayLose || flow.Lost == 0),
        Text($"{flow.Returned:N0} datagrams there and back, {flow.Corrupt} damaged, {flow.Duplicates} twice, {flow.Lost} lost"));

    private static DemoCheck OfTcp(GuestTcp connection, DemoHost host, int pair)
    {
        bool whole = connection.Delivered == host.TcpReceived && connection.Received == host.TcpSent && host.TcpFinished;
        bool right = !connection.Broken && !connection.Corrupt && !host.Corrupt;
        return new DemoCheck(
            Text($"TCP over pair {pair}, both ways"),
            whole && right && host.TcpReceived > 0 && host.TcpSent > 0,
            Text($"{host.TcpReceived / 1e6:N0} MB to the host, {connection.Received / 1e6:N0} MB to the guest, ")
                + (right ? whole ? "every byte right" : "streams not whole" : "damaged"));
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
