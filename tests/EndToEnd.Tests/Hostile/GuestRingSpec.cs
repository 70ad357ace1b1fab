using System.Diagnostics;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Worker;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>
/// A guest breaks the structure of a ring itself. That ring is given up, which its error fd tells; the other ring of
/// the pair goes on, and a fresh start by the front-end makes all well.
/// </summary>
[Collection(HostileCollection.Name)]
public sealed class GuestRingSpec(HostileBackend backend)
{
    private const int RingSize = 64;
    private const int FramesMeanwhile = 50;
    private static readonly TimeSpan ScribbleTime = TimeSpan.FromMilliseconds(300);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task An_available_index_too_far_ahead_costs_the_ring_alone(RingSide side) => CostsTheRingAloneAsync(
        side,
        RingFormat.Split,
        guest =>
        {
            var ring = (SplitDriverRing)guest.Ring;
            ring.WriteAvailableIndex((ushort)(ring.AvailableIndex + RingSize + 1));
        });

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task An_available_index_that_goes_back_costs_the_ring_alone(RingSide side) => CostsTheRingAloneAsync(
        side,
        RingFormat.Split,
        guest => ((SplitDriverRing)guest.Ring).WriteAvailableIndex((ushort)(((SplitDriverRing)guest.Ring).AvailableIndex - 1)));

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_head_just_behind_the_table_costs_the_ring_alone(RingSide side) => CostsTheRingAloneAsync(
        side,
        RingFormat.Split,
        guest => OfferHead(guest, RingSize));

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_head_far_behind_the_table_costs_the_ring_alone(RingSide side) => CostsTheRingAloneAsync(
        side,
        RingFormat.Split,
        guest => OfferHead(guest, ushort.MaxValue));

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_packed_chain_without_an_end_costs_the_ring_alone(RingSide side) => CostsTheRingAloneAsync(
        side,
        RingFormat.Packed,
        guest =>
        {
            guest.Offer([.. Enumerable.Range(0, RingSize).Select(_ => guest.Buffer(flags: DriverRing.FlagNext))]);
            guest.Publish();
        });

    /// <summary>Nothing can be said of what the device makes of it, but that it lives and that a fresh start cures all.</summary>
    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task Random_bytes_all_over_a_ring_that_runs_end_with_the_next_start(RingSide side, RingFormat format) =>
        backend.SurvivesAsync(() =>
        {
            using HostileGuest guest = HostileGuest.Connect(backend, side, format);
            Random random = new(20_260_101);
            RingAddresses parts = guest.Ring.Addresses;
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; Stopwatch.GetElapsedTime(start) < ScribbleTime; i++)
            {
                Scribble(guest, random, parts.Descriptors, 16 * RingSize);
                Scribble(guest, random, parts.Driver, format == RingFormat.Split ? 6 + (2 * RingSize) : 4);
                Scribble(guest, random, parts.Device, format == RingFormat.Split ? 6 + (8 * RingSize) : 4);
                guest.Kick();
                if (i < FramesMeanwhile)
                {
                    guest.HostSends();
                }
            }

            guest.RebootAndExchange();
        });

    private Task CostsTheRingAloneAsync(RingSide side, RingFormat format, Action<HostileGuest> breakIt) =>
        backend.SurvivesAsync(() =>
        {
            using HostileGuest guest = HostileGuest.Connect(backend, side, format);
            breakIt(guest);
            guest.Kick();
            if (side == RingSide.Rx)
            {
                guest.HostSends();
            }

            guest.ExpectGivenUp();
            guest.RebootAndExchange();
        });

    private static void OfferHead(HostileGuest guest, int head)
    {
        ((SplitDriverRing)guest.Ring).OfferUnaccounted((ushort)head);
        guest.Publish();
    }

    private static void Scribble(HostileGuest guest, Random random, ulong address, int length) =>
        random.NextBytes(guest.Ram.Bytes(address, length));
}
