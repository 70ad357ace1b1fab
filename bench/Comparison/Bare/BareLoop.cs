using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;

namespace Ringmaster.Bench.Compare.Bare;

/// <summary>
/// The bare TAP loop: what a TAP costs with nothing around it, and so the most that any back-end can reach. bare.c is the
/// same loop in C; the two are equally fast (docs/performance.md has the numbers).
/// </summary>
/// <remarks>
/// A process of its own: <c>bare TAP write|read syscall|io-uring FRAME-BYTES plain|gso [BUFFERS MEMORY]</c>. It makes the TAP in
/// its network namespace, prints "open", waits for a line on standard input, and works until it is killed. 256 buffers are
/// used in turn, as a ring of 256 would; or so many in the memory that it shares with a guest (<see cref="SharedFrames"/>), to
/// which it says after each batch how far it is. Frames are counted by the kernel at the interface.
/// </remarks>
internal sealed unsafe partial class BareLoop
{
    /// <summary>The word that starts the loop instead of a comparison.</summary>
    internal const string Command = "bare";

    private const int Buffers = 256;
    private const int Batch = 32;
    private const int PlainRoom = 2048;
    private const int GsoRoom = 68 * 1024;
    private const int FirstOfShared = 5;
    private const short PollIn = 1;

    private readonly int _fd;
    private readonly int _frame;
    private readonly int _room;
    private readonly int _batch;
    private readonly SharedFrames _frames;
    private uint _next;
    private uint _published;

    private BareLoop(int fd, int frameSize, bool gso, SharedFrames frames)
    {
        _fd = fd;
        _frame = BareFrame.Header + frameSize;
        _room = RoomOf(gso);
        _frames = frames;
        _batch = Math.Min(Batch, frames.Count / 2);
        byte[] frame = BareFrame.FromGuest(frameSize, gso);
        for (int i = 0; i < frames.Count; i++)
        {
            frame.CopyTo(new Span<byte>(frames.Buffer((uint)i), _room));
        }
    }

    /// <summary>Bytes of one buffer.</summary>
    internal static int RoomOf(bool gso) => gso ? GsoRoom : PlainRoom;

    /// <summary>Works until the process is killed.</summary>
    internal static void Run(string[] arguments)
    {
        (string name, bool writes, bool uring, int size, bool gso) = (
            arguments[0], arguments[1] == "write", arguments[2] == "io-uring",
            int.Parse(arguments[3], CultureInfo.InvariantCulture), arguments[4] == "gso");
        using var tap = TapInterface.Open(new TapOptions { Name = name, Queues = 1 });
        tap.SetOffloads(gso ? TapOffloads.Csum | TapOffloads.Tso4 : TapOffloads.None);
        using FdLease lease = tap.Queues[0].Fd.Lease();
        using SharedFrames frames = arguments.Length > FirstOfShared
            ? SharedFrames.Open(
                arguments[FirstOfShared + 1],
                int.Parse(arguments[FirstOfShared], CultureInfo.InvariantCulture),
                RoomOf(gso))
            : SharedFrames.Create(Buffers, RoomOf(gso));
        var loop = new BareLoop(lease.Number, size, gso, frames);
        Console.Out.WriteLine("open");
        Console.In.ReadLine();
        using IoUring? ring = uring ? new IoUring(Batch, lease.Number) : null;
        switch (writes, ring)
        {
            case (true, null):
                loop.WriteBySyscall();
                break;
            case (true, not null):
                loop.WriteByUring(ring);
                break;
            case (false, null):
                loop.ReadBySyscall();
                break;
            case (false, not null):
                loop.ReadByUring(ring);
                break;
        }
    }

    // Compiled fully at once: a method that runs for ever is not replaced while it runs.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void WriteBySyscall()
    {
        while (true)
        {
            IoVec vector = new() { Base = Take(), Length = (nuint)_frame };
            Check(writev(_fd, &vector, 1), "writev");
            if (_next - _published >= (uint)_batch)
            {
                Publish();
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ReadBySyscall()
    {
        while (true)
        {
            IoVec vector = new() { Base = Take(), Length = (nuint)_room };
            if (Check(readv(_fd, &vector, 1), "readv") < 0)
            {
                _next--;
                Publish();
                WaitReadable();
            }
            else if (_next - _published >= (uint)_batch)
            {
                Publish();
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void WriteByUring(IoUring ring)
    {
        while (true)
        {
            Submit(ring, IoUring.Operation.Write, _batch, _frame);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ReadByUring(IoUring ring)
    {
        int batch = 1;
        while (true)
        {
            int moved = Submit(ring, IoUring.Operation.Read, batch, _room);
            if (moved == batch)
            {
                batch = Math.Min(batch * 2, _batch);
            }
            else
            {
                batch = Math.Max(moved, 1);
                WaitReadable();
            }
        }
    }

    /// <summary>Submits so many operations.</summary>
    /// <returns>How many of them moved a frame.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int Submit(IoUring ring, IoUring.Operation operation, int count, int length)
    {
        for (int i = 0; i < count; i++)
        {
            ring.Prepare(operation, Take(), (uint)length, 0);
        }

        ring.SubmitAndWait();
        int moved = 0;
        while (ring.TryTake(out _, out int result))
        {
            if (result >= 0)
            {
                moved++;
            }
            else if (result != -Errno.EAGAIN)
            {
                throw new LinuxException(operation.ToString(), -result);
            }
        }

        _next -= (uint)(count - moved);
        Publish();
        return moved;
    }

    private byte* Take() => _frames.Buffer(_next++);

    private void Publish()
    {
        _published = _next;
        Volatile.Write(ref _frames.Moved, _next);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static nint Check(nint result, string what)
    {
        int error = result < 0 ? Marshal.GetLastSystemError() : 0;
        return error is 0 or Errno.EAGAIN ? result : throw new LinuxException(what, error);
    }

    private void WaitReadable()
    {
        PollRequest request = new() { Fd = _fd, Events = PollIn };
        _ = poll(&request, 1, -1);
    }

    // The bare calls: no errno is saved, and the runtime is not told that the thread is outside. Neither call can block, and
    // nobody else is there to wait for.
    [SuppressGCTransition]
    [LibraryImport("libc")]
    private static partial nint writev(int fd, IoVec* vectors, int count);

    [SuppressGCTransition]
    [LibraryImport("libc")]
    private static partial nint readv(int fd, IoVec* vectors, int count);

    [LibraryImport("libc")]
    private static partial int poll(PollRequest* requests, nuint count, int timeoutMilliseconds);

    [StructLayout(LayoutKind.Sequential)]
    private struct PollRequest
    {
        internal int Fd;
        internal short Events;
        internal short Returned;
    }
}
