using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Worker.Support;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker;

/// <summary>Both I/O engines, held to the same contract.</summary>
public sealed unsafe class TapIoSpec : IDisposable
{
    private const int Frames = 8;
    private const int Room = 256;
    private readonly FakeTap _tap = new();
    private readonly byte* _buffers = (byte*)NativeMemory.AllocZeroed(Frames * Room);
    private readonly IoVec* _vectors = (IoVec*)NativeMemory.AllocZeroed(Frames * 2, (nuint)sizeof(IoVec));
    private readonly FrameIo* _frames = (FrameIo*)NativeMemory.AllocZeroed(Frames, (nuint)sizeof(FrameIo));

    public static TheoryData<IoEngine> Engines => [IoEngine.Syscall, IoEngine.IoUring];

    public void Dispose()
    {
        NativeMemory.Free(_buffers);
        NativeMemory.Free(_vectors);
        NativeMemory.Free(_frames);
        _tap.Dispose();
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void Frames_in_one_piece_or_more_are_written_in_order(IoEngine engine)
    {
        for (int i = 0; i < Frames; i++)
        {
            Prepare(i, 60 + i, pieces: 1 + (i % 2));
            new Span<byte>(_buffers + (i * Room), 60 + i).Fill((byte)i);
        }

        using TapIo io = Create(engine);
        io.Write(_frames, Frames);

        for (int i = 0; i < Frames; i++)
        {
            Assert.Equal(60 + i, _frames[i].Result);
            byte[] frame = _tap.Receive();
            Assert.Equal(60 + i, frame.Length);
            Assert.All(frame, value => Assert.Equal(i, value));
        }
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void Reading_stops_where_the_queue_is_empty(IoEngine engine)
    {
        for (int i = 0; i < 3; i++)
        {
            Assert.True(_tap.TrySend(Enumerable.Repeat((byte)(i + 1), 100).ToArray()));
        }

        PrepareAll(Room);
        using TapIo io = Create(engine);
        io.Read(_frames, Frames);

        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(100, _frames[i].Result);
            Assert.Equal(i + 1, _buffers[(i * Room) + 99]);
        }

        for (int i = 3; i < Frames; i++)
        {
            Assert.True(_frames[i].Result is FrameIo.WouldBlock or FrameIo.NotTried);
        }
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void A_buffer_that_is_not_mapped_fails_its_frame_alone(IoEngine engine)
    {
        PrepareAll(60);
        _frames[1].Vectors->Base = (byte*)4096;
        using TapIo io = Create(engine);
        io.Write(_frames, 3);

        Assert.Equal(60, _frames[0].Result);
        Assert.Equal(-Errno.EFAULT, _frames[1].Result);
        Assert.Equal(60, _frames[2].Result);
    }

    [Fact]
    public void The_syscall_engine_stops_reading_after_a_frame_beyond_its_limit()
    {
        Assert.True(_tap.TrySend(new byte[200]));
        Assert.True(_tap.TrySend(new byte[100]));
        PrepareAll(Room);
        _frames[0].Limit = 150;
        using TapIo io = Create(IoEngine.Syscall);
        io.Read(_frames, Frames);

        Assert.Equal(200, _frames[0].Result);
        Assert.Equal(FrameIo.NotTried, _frames[1].Result);
    }

    [Fact]
    public void A_uring_is_used_again_many_times_over()
    {
        using TapIo io = Create(IoEngine.IoUring);
        for (int round = 0; round < 1000; round++)
        {
            PrepareAll(64);
            io.Write(_frames, Frames);
            for (int i = 0; i < Frames; i++)
            {
                Assert.Equal(64, _frames[i].Result);
                Assert.Equal(64, _tap.Receive().Length);
            }
        }
    }

    private TapIo Create(IoEngine engine)
    {
        var plan = new WorkerPlan("test", 1, null, engine, BusyPoll.Off, Merge: false, _tap.Queue, new WorkerCounters());
        TapIo io = TapIoFactory.Create(plan, out string? fallback);
        Assert.Null(fallback);
        return io;
    }

    private void PrepareAll(int length)
    {
        for (int i = 0; i < Frames; i++)
        {
            Prepare(i, length, pieces: 1);
        }
    }

    private void Prepare(int index, int length, int pieces)
    {
        IoVec* vectors = _vectors + (index * 2);
        byte* buffer = _buffers + (index * Room);
        int first = pieces == 1 ? length : length / 2;
        vectors[0] = new IoVec { Base = buffer, Length = (nuint)first };
        vectors[1] = new IoVec { Base = buffer + first, Length = (nuint)(length - first) };
        _frames[index] = new FrameIo { Vectors = vectors, Count = pieces, Limit = length };
    }
}
