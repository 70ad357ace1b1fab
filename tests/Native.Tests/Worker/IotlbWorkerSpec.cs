using Ringmaster.Native.Driver;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Worker.Support;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker;

/// <summary>A worker whose rings and buffers lie behind an IOMMU.</summary>
public sealed class IotlbWorkerSpec : IDisposable
{
    private const ulong Page = 4096;
    private readonly WorkerBench _bench;
    private Iotlb _iotlb = Iotlb.Empty;

    public IotlbWorkerSpec() => _bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern | VirtioFeatures.AccessPlatform);

    public void Dispose() => _bench.Dispose();

    [Fact]
    public void A_ring_asks_for_what_it_lacks_one_after_the_other_and_then_runs()
    {
        _bench.Guest.PostAll();
        Start(RingSide.Tx);
        Assert.True(_bench.Guest.TrySend(new byte[60]));
        _bench.Guest.FlushTx();

        // The ring's parts first, then the buffer.
        IotlbMiss? next;
        int asked = 0;
        while ((next = FirstMissing(RingSide.Tx)) is { } part)
        {
            Assert.Equal((RingSide.Tx, part), NextMissing());
            Give(part.Iova, part.Access);
            asked++;
        }

        (RingSide side, IotlbMiss buffer) = NextMissing();
        Assert.Equal((RingSide.Tx, IotlbAccess.ReadOnly), (side, buffer.Access));
        Give(buffer.Iova, buffer.Access);
        Assert.Equal(60 + VirtioNetHeader.Size, _bench.Tap.Receive().Length);
        _bench.ReclaimAll();
        Assert.True(asked >= 2);
    }

    [Fact]
    public void One_ring_waits_for_a_translation_and_the_other_goes_on()
    {
        GiveAll();
        _bench.Guest.PostAll();
        Start(RingSide.Rx);
        Start(RingSide.Tx);
        ulong buffers = _bench.Guest.ReceiveBuffers;
        Withdraw(buffers, (ulong)_bench.Guest.ReceiveBufferBytes);
        _bench.SendToGuest(new byte[60]);
        TranslationMissing missing = _bench.Await<TranslationMissing>();
        Assert.Equal((RingSide.Rx, IotlbAccess.WriteOnly), (missing.Side, missing.Missing.Access));

        Assert.True(_bench.Guest.TrySend(new byte[60]));
        _bench.Guest.FlushTx();
        _bench.ReclaimAll();
        Assert.Equal(0, _bench.Counters[WorkerCounter.RxFrames]);

        GiveAll();
        Assert.Equal(60, _bench.GuestReceives().Frame.Length);
        Assert.Equal((0, 0), (_bench.Counters[WorkerCounter.RxBadChains], _bench.Counters[WorkerCounter.RingErrors]));
    }

    [Fact]
    public void A_ring_whose_own_parts_are_withdrawn_lets_go_of_them_and_goes_on_where_it_was()
    {
        GiveAll();
        _bench.Guest.PostAll();
        Start(RingSide.Tx);
        for (int round = 0; round < 3; round++)
        {
            Assert.True(_bench.Guest.TrySend(new byte[60]));
            _bench.Guest.FlushTx();
            _bench.ReclaimAll();
            Withdraw(_bench.Guest.Tx.Addresses.Driver, 1);
            _bench.Await<TranslationMissing>();
            Assert.True(_bench.Guest.TrySend(new byte[60]));
            _bench.Guest.FlushTx();
            Assert.Equal(1, _bench.Guest.Tx.Outstanding);
            GiveAll();
            _bench.ReclaimAll();
        }

        Assert.Equal(6, _bench.Counters[WorkerCounter.TxFrames]);
        RingStopped stopped = Assert.IsType<RingStopped>(_bench.Do(new StopRing(RingSide.Tx)));
        Assert.Equal(6u, stopped.Base);
    }

    [Fact]
    public void A_ring_that_waits_can_be_stopped_and_tells_where_it_was()
    {
        Start(RingSide.Tx);
        _bench.Await<TranslationMissing>();
        RingStopped stopped = Assert.IsType<RingStopped>(_bench.Do(new StopRing(RingSide.Tx)));
        Assert.Equal(0u, stopped.Base);
        GiveAll();
        Assert.Null(Assert.IsType<RingStopped>(_bench.Do(new StopRing(RingSide.Tx))).Base);
    }

    [Fact]
    public void A_buffer_that_may_only_be_read_is_asked_for_again_and_not_written_before()
    {
        GiveAll();
        ulong buffers = _bench.Guest.ReceiveBuffers;
        Withdraw(buffers, Page);
        Give(buffers, IotlbAccess.ReadOnly);
        _bench.Guest.PostAll();
        Start(RingSide.Rx);
        _bench.SendToGuest(new byte[60]);
        Assert.Equal((RingSide.Rx, new IotlbMiss(buffers, IotlbAccess.ReadWrite)), NextMissing());
        Assert.Equal(0, _bench.Counters[WorkerCounter.RxFrames]);
        Give(buffers, IotlbAccess.ReadWrite);
        Assert.Equal(60, _bench.GuestReceives().Frame.Length);
    }

    [Fact]
    public void A_ring_that_may_only_be_read_is_asked_for_again()
    {
        GiveAll();
        ulong device = _bench.Guest.Tx.Addresses.Device;
        Withdraw(device, 1);
        Give(device, IotlbAccess.ReadOnly);
        Start(RingSide.Tx);
        Assert.Equal((RingSide.Tx, new IotlbMiss(device, IotlbAccess.ReadWrite)), NextMissing());
    }

    private (RingSide Side, IotlbMiss Missing) NextMissing()
    {
        TranslationMissing report = _bench.Await<TranslationMissing>();
        return (report.Side, report.Missing);
    }

    private IotlbMiss? FirstMissing(RingSide side) =>
        RingTranslation.FirstMissing(PlanOf(side), new GuestView(GuestMemory.Empty, null, Iotlb: _iotlb));

    private void Start(RingSide side) => _bench.Do(new StartRing(side, PlanOf(side)));

    /// <summary>The ring's parts by IO virtual address. Descriptors name guest addresses, which are translated too.</summary>
    private RingPlan PlanOf(RingSide side)
    {
        DriverRing ring = side == RingSide.Rx ? _bench.Guest.Rx : _bench.Guest.Tx;
        return _bench.PlanOf(side) with
        {
            DescriptorAddress = ring.Addresses.Descriptors,
            DriverAddress = ring.Addresses.Driver,
            DeviceAddress = ring.Addresses.Device,
        };
    }

    private void GiveAll()
    {
        foreach (MemoryRegionLayout region in _bench.Ram.Regions)
        {
            for (ulong at = 0; at < region.Size; at += Page)
            {
                if (!_iotlb.TryFind(region.GuestAddress + at, out _))
                {
                    Add(region.GuestAddress + at, IotlbAccess.ReadWrite);
                }
            }
        }

        _bench.Do(new SetIotlb(_iotlb));
    }

    private void Give(ulong iova, IotlbAccess access)
    {
        Add(iova & ~(Page - 1), access);
        _bench.Do(new SetIotlb(_iotlb));
    }

    private void Withdraw(ulong iova, ulong size)
    {
        _iotlb = _iotlb.Invalidate(iova, iova + (size - 1));
        _bench.Do(new SetIotlb(_iotlb));
    }

    private void Add(ulong page, IotlbAccess access) =>
        _iotlb = _iotlb.Update(new IotlbEntry(page, Page, _bench.Ram.ToUser(page), access), out _)!;
}
