using System.Globalization;
using System.IO.MemoryMappedFiles;
using System.Runtime.CompilerServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;

namespace Ringmaster.Bench.Compare.Bare;

/// <summary>
/// The buffers of a bare loop that has a guest: memory that both have mapped.
/// <code>
/// 0                 u32 how many frames the loop has moved; begins again after the greatest
/// 4096 + room * n   buffer n; they are used in turn
/// </code>
/// Only the loop writes the number. Nothing keeps the guest from writing into buffers; it writes only what stands there already.
/// </summary>
internal sealed unsafe class SharedFrames : IDisposable
{
    private const int FirstBuffer = 4096;

    private readonly OwnedFd? _file;
    private readonly FdLease? _lease;
    private readonly MemoryMappedFile _mapped;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _memory;
    private readonly int _room;
    private readonly uint _last;

    private SharedFrames(string path, int count, int room, OwnedFd? file, FdLease? lease)
    {
        (Path, Count, _room, _last, _file, _lease) = (path, count, room, (uint)count - 1, file, lease);
        _mapped = MemoryMappedFile.CreateFromFile(path, FileMode.Open);
        _view = _mapped.CreateViewAccessor();
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _memory);
    }

    /// <summary>What another process opens it by, while this one has it.</summary>
    internal string Path { get; }

    /// <summary>How many buffers there are: a power of two.</summary>
    internal int Count { get; }

    /// <summary>How many frames the loop has moved.</summary>
    internal ref uint Moved => ref Unsafe.AsRef<uint>(_memory);

    /// <summary>Makes the memory.</summary>
    internal static SharedFrames Create(int count, int room)
    {
        OwnedFd file = SealedFile.Create("bare-frames", (ulong)(FirstBuffer + ((long)count * room)));
        FdLease lease = file.Lease();
        string path = string.Create(CultureInfo.InvariantCulture, $"/proc/{Environment.ProcessId}/fd/{lease.Number}");
        return new SharedFrames(path, count, room, file, lease);
    }

    /// <summary>Maps memory that another process has made.</summary>
    internal static SharedFrames Open(string path, int count, int room) => new(path, count, room, file: null, lease: null);

    /// <summary>The buffer of the frame with a number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal byte* Buffer(uint frame) => _memory + FirstBuffer + ((long)(frame & _last) * _room);

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _mapped.Dispose();
        _lease?.Dispose();
        _file?.Dispose();
    }
}
