using System.Runtime.InteropServices;
using BenchmarkDotNet.Attributes;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Bench.Micro;

/// <summary>
/// Both I/O engines on a real TAP in a network namespace of its own: a batch of 64 frames of 64 bytes; the times are for one
/// frame. Left out where that is not allowed (<see cref="Refusal"/>).
/// </summary>
public unsafe class TapIoBenchmarks
{
    private const int Batch = RingPump.MaxBatch;
    private const int FrameSize = VirtioNetHeader.Size + 64;

    private readonly FrameIo* _frames = (FrameIo*)NativeMemory.AllocZeroed(Batch, (nuint)sizeof(FrameIo));
    private readonly IoVec* _vectors = (IoVec*)NativeMemory.AllocZeroed(Batch, (nuint)sizeof(IoVec));
    private readonly byte* _buffers = (byte*)NativeMemory.AllocZeroed(Batch, FrameSize);
    private PrivateNetwork _network = null!;
    private TapInterface _tap = null!;
    private TapIo? _io;

    [Params("io-uring", "syscall")]
    public string Engine { get; set; } = "";

    [GlobalSetup]
    public void Open()
    {
        _network = new PrivateNetwork();
        _tap = OpenTap(_network);
        for (int i = 0; i < Batch; i++)
        {
            _vectors[i] = new IoVec { Base = _buffers + (i * FrameSize), Length = FrameSize };
            _frames[i] = new FrameIo { Vectors = _vectors + i, Count = 1, Limit = FrameSize };
        }
    }

    [GlobalCleanup]
    public void Close()
    {
        _io?.Dispose();
        _tap.Dispose();
        _network.Dispose();
    }

    [Benchmark(OperationsPerInvoke = Batch)]
    public int Write()
    {
        Io.Write(_frames, Batch);
        return Moved(_frames[Batch - 1].Result);
    }

    /// <summary>One read from an empty TAP: what it costs to find out.</summary>
    [Benchmark]
    public int ReadNothing()
    {
        Io.Read(_frames, 1);
        return _frames[0].Result == FrameIo.WouldBlock ? 0 : Moved(-1);
    }

    /// <summary>An io_uring belongs to the thread that uses it, which the one that sets up need not be.</summary>
    private TapIo Io => _io ??= Engine == "syscall" ? new SyscallTapIo(_tap.Queues[0].Fd) : new UringTapIo(_tap.Queues[0].Fd);

    /// <summary>Why this machine does not let us, or null.</summary>
    internal static string? Refusal()
    {
        try
        {
            using var network = new PrivateNetwork();
            using TapInterface tap = OpenTap(network);
            return null;
        }
        catch (LinuxException e)
        {
            return e.Message;
        }
    }

    private static TapInterface OpenTap(PrivateNetwork network) =>
        TapInterface.Open(new TapOptions { Name = "micro0", Queues = 1, NetworkNamespace = network.Path });

    private static int Moved(int result) => result >= 0 ? result : throw new LinuxException("TAP", -result);
}
