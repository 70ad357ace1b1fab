using Ringmaster.Native.Driver;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Driver;

public sealed class NetQueuePairSpec : IDisposable
{
    private const VirtioFeatures Modern = VirtioFeatures.Version1 | VirtioFeatures.MrgRxbuf | VirtioFeatures.IndirectDesc;
    private readonly GuestRam _ram = new(GuestRamOptions.OfSize(16));
    private NetQueuePair _pair = null!;
    private ModelDevice _rx = null!;
    private ModelDevice _tx = null!;

    public void Dispose()
    {
        _pair.Dispose();
        _ram.Dispose();
    }

    [Fact]
    public void A_frame_goes_out_behind_its_header_in_one_descriptor()
    {
        Make(new VirtioNetOptions { QueueSize = 8 }, Modern);
        var header = new VirtioNetHeader(1, VirtioNetHeader.GsoTcp4, 54, 1460, 34, 16, 0);
        Assert.True(_pair.TrySend([1, 2, 3], header));
        _pair.FlushTx();
        Assert.Equal(1ul, _pair.TxKick.Drain());
        RingBuffer buffer = Assert.Single(_tx.Pop()!.Buffers);
        byte[] bytes = _ram.Bytes(buffer.Address, (int)buffer.Length).ToArray();
        Assert.True(VirtioNetHeader.TryRead(bytes, out VirtioNetHeader seen));
        Assert.Equal(header, seen);
        Assert.Equal([1, 2, 3], bytes[12..]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_frame_is_cut_where_it_is_told_and_stays_whole(bool indirect)
    {
        Make(new VirtioNetOptions { QueueSize = 8, TransmitCuts = [1, 12, 14, 999], Indirect = indirect }, Modern);
        Assert.True(_pair.TrySend([1, 2, 3, 4]));
        _pair.FlushTx();
        SeenChain chain = _tx.Pop()!;
        Assert.Equal([1u, 11u, 2u, 2u], chain.Buffers.Select(buffer => buffer.Length));
        Assert.Equal(indirect ? 1 : 4, chain.Descriptors);
        IEnumerable<byte> frame =
            chain.Buffers.Skip(2).SelectMany(buffer => _ram.Bytes(buffer.Address, (int)buffer.Length).ToArray());
        Assert.Equal([1, 2, 3, 4], frame);
    }

    [Fact]
    public void Without_VERSION_1_and_MRG_RXBUF_the_header_has_ten_bytes()
    {
        Make(new VirtioNetOptions { QueueSize = 8 }, VirtioFeatures.None);
        Assert.True(_pair.TrySend([7]));
        _pair.FlushTx();
        Assert.Equal(11u, _tx.Pop()!.Buffers[0].Length);
        Give(10, 0, [8, 9]);
        Assert.True(_pair.TryReceive(out _, out ReadOnlySpan<byte> frame));
        Assert.Equal([8, 9], frame.ToArray());
    }

    [Fact]
    public void Buffers_that_were_sent_can_be_sent_again()
    {
        Make(new VirtioNetOptions { QueueSize = 4 }, Modern);
        for (int round = 0; round < 100; round++)
        {
            for (int i = 0; i < 4; i++)
            {
                Assert.True(_pair.TrySend([1]));
            }

            Assert.False(_pair.TrySend([1]));
            _pair.FlushTx();
            _tx.Return([_tx.Pop()!, _tx.Pop()!, _tx.Pop()!, _tx.Pop()!], 0);
        }

        Assert.Equal(4, _pair.Reclaim());
        Assert.Equal(400, _pair.Tx.Returned);
    }

    [Fact]
    public void A_frame_over_several_buffers_is_put_together_and_its_buffers_go_back()
    {
        Make(new VirtioNetOptions { QueueSize = 8, ReceiveBufferSize = 64 }, Modern);
        Assert.Equal(0, _pair.Rx.FreeDescriptors);
        for (int round = 0; round < 20; round++)
        {
            byte[] sent = [.. Enumerable.Range(round, 150).Select(i => (byte)i)];
            Give(12, 3, sent);
            Assert.True(_pair.TryReceive(out VirtioNetHeader header, out ReadOnlySpan<byte> frame));
            Assert.Equal(3, header.Buffers);
            Assert.Equal(sent, frame.ToArray());
            Assert.False(_pair.TryReceive(out _, out _));
            _pair.FlushRx();
            Assert.Equal(8, _pair.Rx.Outstanding);
        }
    }

    [Theory]
    [InlineData(0, 2048)]
    [InlineData(1514, 2048)]
    [InlineData(3000, 3012)]
    [InlineData(65214, 4096)]
    public void Mergeable_buffers_are_made_for_the_expected_frames(int frame, uint bytes)
    {
        Make(new VirtioNetOptions { QueueSize = 8, ExpectedFrame = frame }, Modern);
        Assert.Equal(bytes, _rx.Pop()!.Buffers[0].Length);
    }

    [Fact]
    public void A_frame_that_claims_more_buffers_than_came_is_a_violation()
    {
        Make(new VirtioNetOptions { QueueSize = 8, ReceiveBufferSize = 64 }, Modern);
        Give(12, 2, new byte[10]);
        Assert.Throws<RingViolationException>(() => _pair.TryReceive(out _, out _));
    }

    [Fact]
    public void A_buffer_without_a_whole_header_is_a_violation()
    {
        Make(new VirtioNetOptions { QueueSize = 8 }, Modern);
        _rx.Return([_rx.Pop()!], 11);
        Assert.Throws<RingViolationException>(() => _pair.TryReceive(out _, out _));
    }

    [Fact]
    public void Chains_made_by_hand_come_back_apart_from_the_others()
    {
        Make(new VirtioNetOptions { QueueSize = 8, ReceiveBuffers = 4 }, Modern);
        Assert.True(_pair.Rx.TryAddRaw([new RawDescriptor(0, 4, DriverRing.FlagWrite)], -1));
        Assert.True(_pair.Tx.TryAddRaw([new RawDescriptor(0xdead_0000_0000, 4, 0)], -2));
        _pair.FlushRx();
        _pair.FlushTx();
        SeenChain[] posted = [.. Enumerable.Range(0, 5).Select(_ => _rx.Pop()!)];
        _rx.Return([posted[4]], 0);
        _tx.Return([_tx.Pop()!], 0);
        Assert.False(_pair.TryReceive(out _, out _));
        Assert.Equal(1, _pair.Reclaim());
        Assert.Equal([new UsedChain(-1, 0)], _pair.ForeignRx);
        Assert.Equal([new UsedChain(-2, 0)], _pair.ForeignTx);
        Assert.Equal(8, _pair.FreeSlots);
    }

    [Fact]
    public void Waiting_ends_with_a_call_or_with_what_is_there_already()
    {
        Make(new VirtioNetOptions { QueueSize = 8 }, Modern);
        Assert.False(_pair.WaitRx(TimeSpan.FromMilliseconds(1)));
        _pair.RxCall.Signal();
        Give(12, 1, [1]);
        Assert.True(_pair.WaitRx(TimeSpan.FromSeconds(10)));
        Assert.True(_pair.TryReceive(out _, out _));
        Assert.False(_pair.WaitRx(TimeSpan.FromMilliseconds(1)));
    }

    private void Make(VirtioNetOptions options, VirtioFeatures features)
    {
        _pair = new NetQueuePair(0, _ram, options, new NetLayout(options, features));
        _rx = ModelDevice.For(_ram, _pair.Rx);
        _tx = ModelDevice.For(_ram, _pair.Tx);
        _pair.PostAll();
    }

    /// <summary>Writes header and frame into receive buffers, as many as it takes, and returns them.</summary>
    private void Give(int headerSize, ushort claimed, byte[] frame)
    {
        byte[] header = new byte[12];
        new VirtioNetHeader(0, 0, 0, 0, 0, 0, claimed).Write(header);
        byte[] all = [.. header[..headerSize], .. frame];
        int at = 0;
        while (at < all.Length)
        {
            SeenChain chain = _rx.Pop()!;
            int length = Math.Min((int)chain.Buffers[0].Length, all.Length - at);
            all.AsSpan(at, length).CopyTo(_ram.Bytes(chain.Buffers[0].Address, length));
            _rx.Return([chain], (uint)length);
            at += length;
        }
    }
}
