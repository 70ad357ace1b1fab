using Ringmaster.Native.Driver;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>
/// A guest puts chains on its rings that break the rules, or look as if they did. A bad chain comes back unused and costs the
/// guest that chain alone; a legal one does its work however odd it is.
/// </summary>
[Collection(HostileCollection.Name)]
public sealed class GuestChainSpec(HostileBackend backend)
{
    private const ushort Next = DriverRing.FlagNext;
    private const int RingSize = 64;
    private const int OutsideTheTable = 40_000;

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_loop_of_descriptors_costs_its_chain_alone(RingSide side) => CostsThatChainAloneAsync(
        side,
        RingFormat.Split,
        guest => [guest.Buffer(flags: Next, next: 1), guest.Buffer(flags: Next, next: 2), guest.Buffer(flags: Next, next: 0)]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_descriptor_that_is_its_own_next_costs_its_chain_alone(RingSide side) => CostsThatChainAloneAsync(
        side,
        RingFormat.Split,
        guest => [guest.Buffer(flags: Next, next: 0)]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_next_just_behind_the_table_costs_its_chain_alone(RingSide side) => CostsThatChainAloneAsync(
        side,
        RingFormat.Split,
        guest => [guest.Buffer(flags: Next, next: RingSize)]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_next_far_behind_the_table_costs_its_chain_alone(RingSide side) => CostsThatChainAloneAsync(
        side,
        RingFormat.Split,
        guest => [guest.Buffer(flags: Next, next: 1), guest.Buffer(flags: Next, next: OutsideTheTable)]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task An_address_that_no_region_holds_costs_its_chain_alone(RingSide side, RingFormat format) =>
        CostsThatChainAloneAsync(
            side,
            format,
            guest => [guest.Buffer(flags: Next, next: 1), new RawDescriptor(HostileGuest.Nowhere, 256, guest.Legal)]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task An_address_in_a_hole_costs_its_chain_alone(RingSide side, RingFormat format) => CostsThatChainAloneAsync(
        side,
        format,
        guest => [new RawDescriptor(HostileGuest.Hole, 256, guest.Legal)]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_buffer_that_wraps_around_costs_its_chain_alone(RingSide side, RingFormat format) => CostsThatChainAloneAsync(
        side,
        format,
        guest => [new RawDescriptor(ulong.MaxValue - 100, 4096, guest.Legal)]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_buffer_that_crosses_the_end_of_memory_by_a_byte_costs_its_chain_alone(RingSide side, RingFormat format) =>
        CostsThatChainAloneAsync(side, format, guest => [new RawDescriptor(HostileGuest.End - 255, 256, guest.Legal)]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_buffer_that_reaches_over_a_hole_costs_its_chain_alone(RingSide side, RingFormat format) =>
        CostsThatChainAloneAsync(
            side,
            format,
            guest =>
            [
                new RawDescriptor(HostileGuest.End - 64, (uint)(HostileGuest.Island - HostileGuest.End) + 128, guest.Legal),
            ]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_buffer_of_four_gigabytes_costs_its_chain_alone(RingSide side, RingFormat format) => CostsThatChainAloneAsync(
        side,
        format,
        guest => [new RawDescriptor(guest.Take(64), uint.MaxValue, guest.Legal)]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_buffer_across_two_adjacent_regions_carries_its_frame(RingSide side, RingFormat format) => CarriesItsFrameAsync(
        side,
        format,
        guest => [Buffer(guest, HostileGuest.Border - 500, 1000)]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_buffer_that_ends_with_memory_carries_its_frame(RingSide side, RingFormat format) => CarriesItsFrameAsync(
        side,
        format,
        guest => [Buffer(guest, HostileGuest.End - 1000, 1000)]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_chain_of_no_bytes_costs_its_chain_alone(RingSide side, RingFormat format) => CostsThatChainAloneAsync(
        side,
        format,
        guest => [guest.Buffer(flags: Next, next: 1) with { Length = 0 }, guest.Buffer() with { Length = 0 }]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task Empty_buffers_between_full_ones_do_no_harm(RingSide side, RingFormat format) => CarriesItsFrameAsync(
        side,
        format,
        guest =>
        [
            Buffer(guest, 0), Buffer(guest, 12), Buffer(guest, 0), Buffer(guest, 400), Buffer(guest, HostileGuest.Nowhere, 0),
        ]);

    /// <summary>The kernel takes 1,024 pieces at once, one of which the device keeps for itself.</summary>
    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_chain_of_more_pieces_than_the_kernel_takes_costs_its_chain_alone(RingSide side, RingFormat format) =>
        backend.SurvivesAsync(() =>
        {
            using HostileGuest guest = HostileGuest.Connect(backend, side, format, LongRing);
            guest.Offer([.. Pieces(guest, LongRing.QueueSize).Select((piece, i) =>
                new RawDescriptor(piece, 1, (ushort)(guest.Legal | (i < LongRing.QueueSize - 1 ? Next : 0)), i + 1))]);
            guest.ExpectReturnedUnused();
            guest.OfferGood();
            guest.ExpectReturned();
        });

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_chain_of_as_many_pieces_as_the_kernel_takes_carries_its_frame(RingSide side, RingFormat format) =>
        CarriesItsFrameAsync(side, format, guest => [.. Pieces(guest, 1023).Select(piece => Buffer(guest, piece, 1))], LongRing);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task Descriptors_of_the_wrong_direction_cost_their_chain_alone(RingSide side, RingFormat format) =>
        CostsThatChainAloneAsync(
            side,
            format,
            guest => [guest.Buffer() with { Flags = guest.Illegal }]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task One_descriptor_of_the_wrong_direction_among_right_ones_costs_its_chain_alone(RingSide side, RingFormat format) =>
        CostsThatChainAloneAsync(
            side,
            format,
            guest => [guest.Buffer(flags: Next, next: 1), guest.Buffer() with { Flags = guest.Illegal }]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task Bad_chains_in_front_do_not_hold_up_what_follows(RingSide side, RingFormat format) => backend.SurvivesAsync(() =>
    {
        using HostileGuest guest = HostileGuest.Connect(backend, side, format);
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < 10; i++)
            {
                guest.Offer(new RawDescriptor(HostileGuest.Nowhere, 256, guest.Legal));
                guest.Offer(guest.Buffer() with { Flags = guest.Illegal });
                guest.Offer(guest.Buffer(4));
            }

            guest.OfferGood();
            guest.OfferGood();
            guest.ExpectReturned();
        }
    });

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task With_in_order_bad_chains_come_back_in_their_turn(RingSide side, RingFormat format) => backend.SurvivesAsync(() =>
    {
        VirtioNetOptions options = new()
        {
            QueueSize = RingSize,
            TransmitBufferSize = HostileGuest.BufferSize,
            Features = VirtioNetOptions.ModernFeatures | VirtioFeatures.InOrder,
        };
        using HostileGuest guest = HostileGuest.Connect(backend, side, format, options);
        for (int i = 0; i < 40; i++)
        {
            guest.Offer(new RawDescriptor(HostileGuest.Nowhere, 256, guest.Legal));
            guest.OfferGood();
            guest.OfferGood();
            guest.ExpectReturned();
        }
    });

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_ring_full_of_bad_chains_is_emptied_and_goes_on(RingSide side, RingFormat format) => backend.SurvivesAsync(() =>
    {
        using HostileGuest guest = HostileGuest.Connect(backend, side, format);
        for (int i = 0; i < RingSize; i++)
        {
            guest.Offer(new RawDescriptor(HostileGuest.Hole, 256, guest.Legal));
        }

        guest.ExpectReturnedUnused();
        guest.OfferGood();
        guest.ExpectReturned();
    });

    private static VirtioNetOptions LongRing => new()
    {
        QueueSize = 1024,
        TransmitBufferSize = HostileGuest.BufferSize,
        ReceiveBufferSize = HostileGuest.BufferSize,
    };

    private Task CostsThatChainAloneAsync(
        RingSide side, RingFormat format, Func<HostileGuest, RawDescriptor[]> chain, VirtioNetOptions? options = null) =>
        backend.SurvivesAsync(() =>
        {
            using HostileGuest guest = HostileGuest.Connect(backend, side, format, options);
            guest.Offer(chain(guest));
            guest.OfferGood();
            guest.ExpectReturned();
        });

    private Task CarriesItsFrameAsync(
        RingSide side, RingFormat format, Func<HostileGuest, RingBuffer[]> buffers, VirtioNetOptions? options = null) =>
        backend.SurvivesAsync(() =>
        {
            using HostileGuest guest = HostileGuest.Connect(backend, side, format, options);
            guest.OfferOdd(buffers(guest));
            guest.OfferGood();
            guest.ExpectReturned();
        });

    private static RingBuffer Buffer(HostileGuest guest, int length) => Buffer(guest, guest.Take(Math.Max(length, 1)), length);

    private static RingBuffer Buffer(HostileGuest guest, ulong address, int length) =>
        new(address, (uint)length, guest.Side == RingSide.Rx);

    /// <summary>Addresses of single bytes of which no two are neighbours.</summary>
    private static IEnumerable<ulong> Pieces(HostileGuest guest, int count)
    {
        ulong first = guest.Take(2 * count);
        return Enumerable.Range(0, count).Select(i => first + (2 * (ulong)i));
    }
}
