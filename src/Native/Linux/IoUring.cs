using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Tmds.Linux;
using static Tmds.Linux.LibC;

namespace Ringmaster.Native.Linux;

/// <summary>
/// A raw io_uring with one registered file: submissions are filled in, sent and awaited together. All memory barriers
/// towards the kernel's ring are here.
/// <code>
/// submission entry, 64 bytes   0 u8 opcode   1 u8 flags   4 s32 file   16 u64 address   24 u32 length   28 u32 flags
///                              32 u64 user data
/// completion entry, 16 bytes   0 u64 user data   8 s32 result   12 u32 flags
/// </code>
/// Invariants: one thread makes, uses and disposes it (IORING_SETUP_SINGLE_ISSUER); no more is prepared between two
/// <see cref="SubmitAndWait"/> than the ring has entries, so neither queue can overflow.
/// </summary>
internal sealed unsafe partial class IoUring : IDisposable
{
    private const int SetupCall = 425;
    private const int EnterCall = 426;
    private const int RegisterCall = 427;
    private const uint ClampEntries = 1 << 4;
    private const uint SubmitAll = 1 << 7;
    private const uint SingleIssuer = 1 << 12;
    private const uint DeferTaskRun = 1 << 13;
    private const uint FeatureSingleMapping = 1;
    private const uint GetEvents = 1;
    private const uint RegisterFiles = 2;
    private const long EntriesMapping = 0x10000000;
    private const int EntrySize = 64;
    private const int CompletionSize = 16;
    private const byte FixedFile = 1;

    // RWF_NOWAIT: without it the kernel waits for readiness even on a file that is O_NONBLOCK.
    private const uint DoNotWait = 8;

    private readonly OwnedFd _fd;
    private readonly FdLease _lease;
    private readonly byte* _rings;
    private readonly nuint _ringsSize;
    private readonly byte* _entries;
    private readonly nuint _entriesSize;
    private readonly uint* _submissionTail;
    private readonly uint _submissionMask;
    private readonly uint* _completionHead;
    private readonly uint* _completionTail;
    private readonly uint _completionMask;
    private readonly byte* _completions;
    private uint _prepared;
    private uint _unsubmitted;

    /// <summary>Makes a ring.</summary>
    /// <param name="entries">How many operations one submission can hold; a power of two.</param>
    /// <param name="file">The file that all operations are on; leased by the kernel until the ring is disposed.</param>
    /// <exception cref="LinuxException">The kernel, or a sandbox, refuses io_uring or one of the flags used here.</exception>
    internal IoUring(int entries, int file)
    {
        Parameters parameters = new() { Flags = ClampEntries | SubmitAll | SingleIssuer | DeferTaskRun };
        IoResult ring = Sys.Result(syscall(SetupCall, entries, (nint)(&parameters), 0, 0, 0, 0));
        _fd = new OwnedFd((int)ring.OrThrow("io_uring_setup"));
        _lease = _fd.Lease();
        try
        {
            if ((parameters.Features & FeatureSingleMapping) == 0)
            {
                throw new LinuxException("io_uring_setup: IORING_FEAT_SINGLE_MMAP", Errno.EOPNOTSUPP);
            }

            uint ringsSize = Math.Max(
                parameters.Submission.Array + (parameters.SubmissionEntries * sizeof(uint)),
                parameters.Completion.Entries + (parameters.CompletionEntries * CompletionSize));
            _rings = Map(ringsSize, 0);
            _ringsSize = ringsSize;
            _entriesSize = parameters.SubmissionEntries * EntrySize;
            _entries = Map(_entriesSize, EntriesMapping);
            _submissionTail = (uint*)(_rings + parameters.Submission.Tail);
            _submissionMask = *(uint*)(_rings + parameters.Submission.Mask);
            _completionHead = (uint*)(_rings + parameters.Completion.Head);
            _completionTail = (uint*)(_rings + parameters.Completion.Tail);
            _completionMask = *(uint*)(_rings + parameters.Completion.Mask);
            _completions = _rings + parameters.Completion.Entries;
            _prepared = *_submissionTail;
            MapEntriesToThemselves((uint*)(_rings + parameters.Submission.Array), parameters.SubmissionEntries);
            FillEntries(parameters.SubmissionEntries);
            Register(file);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The operations used here; the numbers are the kernel's.</summary>
    internal enum Operation : byte
    {
        ReadVector = 1,
        WriteVector = 2,
        Read = 22,
        Write = 23,
    }

    /// <summary>Fills in one operation on the registered file: what differs from one to the next.</summary>
    /// <param name="operation">What to do.</param>
    /// <param name="address">The buffer, or the vectors; must stay valid until the completion is taken.</param>
    /// <param name="length">Bytes of the buffer, or number of vectors.</param>
    /// <param name="userData">Comes back with the completion.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Prepare(Operation operation, void* address, uint length, ulong userData)
    {
        byte* entry = _entries + ((_prepared & _submissionMask) * EntrySize);
        entry[0] = (byte)operation;
        *(ulong*)(entry + 16) = (ulong)address;
        *(uint*)(entry + 24) = length;
        *(ulong*)(entry + 32) = userData;
        _prepared++;
        _unsubmitted++;
    }

    /// <summary>Sends all prepared operations and waits until each has completed: at once, on the non-blocking TAP.</summary>
    /// <exception cref="LinuxException">The ring itself failed.</exception>
    internal void SubmitAndWait()
    {
        uint expected = _unsubmitted;

        // Release: the entries are visible to the kernel before the tail that covers them.
        Volatile.Write(ref *_submissionTail, _prepared);
        while (_unsubmitted > 0 || Volatile.Read(ref *_completionTail) - *_completionHead < expected)
        {
            IoResult result = Enter(_unsubmitted, expected);
            if (result.Ok)
            {
                _unsubmitted -= (uint)result.Count;
            }
            else if (result.Error != Errno.EINTR)
            {
                result.OrThrow("io_uring_enter");
            }
        }
    }

    /// <summary>Takes one completion, if there is one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryTake(out ulong userData, out int result)
    {
        uint head = *_completionHead;

        // Acquire: the entry is read after the tail that covers it.
        if (head == Volatile.Read(ref *_completionTail))
        {
            userData = 0;
            result = 0;
            return false;
        }

        byte* completion = _completions + ((head & _completionMask) * CompletionSize);
        userData = *(ulong*)completion;
        result = *(int*)(completion + 8);

        // Release: the entry has been read before the kernel may write it again.
        Volatile.Write(ref *_completionHead, head + 1);
        return true;
    }

    public void Dispose()
    {
        Unmap(_entries, _entriesSize);
        Unmap(_rings, _ringsSize);
        _lease.Dispose();
        _fd.Dispose();
    }

    private static void Unmap(byte* address, nuint size)
    {
        if (address is not null)
        {
            _ = munmap(address, (size_t)size);
        }
    }

    private static void MapEntriesToThemselves(uint* array, uint count)
    {
        for (uint i = 0; i < count; i++)
        {
            array[i] = i;
        }
    }

    /// <summary>Writes what all operations have in common, once: the kernel only reads entries.</summary>
    private void FillEntries(uint count)
    {
        for (uint i = 0; i < count; i++)
        {
            byte* entry = _entries + (i * EntrySize);
            new Span<byte>(entry, EntrySize).Clear();
            entry[1] = FixedFile;
            *(uint*)(entry + 28) = DoNotWait;
        }
    }

    private byte* Map(nuint size, long offset)
    {
        void* address = mmap(null, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, _lease.Number, offset);
        if ((nint)address == -1)
        {
            Sys.Result(-1).OrThrow("mmap(io_uring)");
        }

        return (byte*)address;
    }

    private void Register(int file) =>
        Sys.Result(syscall(RegisterCall, _lease.Number, (nint)RegisterFiles, (nint)(&file), 1, 0, 0))
            .OrThrow("io_uring_register(FILES)");

    // Errno is read only after a failure, and at once: see FrameCalls.
    private IoResult Enter(uint submitted, uint expected)
    {
        nint result = enter(EnterCall, _lease.Number, (nint)submitted, (nint)expected, (nint)GetEvents, 0, 0);
        return new IoResult(result >= 0 ? result : -Marshal.GetLastSystemError());
    }

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial nint enter(nint number, nint a, nint b, nint c, nint d, nint e, nint f);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint syscall(nint number, nint a, nint b, nint c, nint d, nint e, nint f);

    [StructLayout(LayoutKind.Sequential)]
    private struct Parameters
    {
        internal uint SubmissionEntries;
        internal uint CompletionEntries;
        internal uint Flags;
        internal uint ThreadCpu;
        internal uint ThreadIdle;
        internal uint Features;
        internal uint WorkQueueFd;
        internal uint Reserved0;
        internal uint Reserved1;
        internal uint Reserved2;
        internal SubmissionOffsets Submission;
        internal CompletionOffsets Completion;
    }

    [StructLayout(LayoutKind.Sequential, Size = 40)]
    private struct SubmissionOffsets
    {
        internal uint Head;
        internal uint Tail;
        internal uint Mask;
        internal uint Count;
        internal uint Flags;
        internal uint Dropped;
        internal uint Array;
    }

    [StructLayout(LayoutKind.Sequential, Size = 40)]
    private struct CompletionOffsets
    {
        internal uint Head;
        internal uint Tail;
        internal uint Mask;
        internal uint Count;
        internal uint Overflow;
        internal uint Entries;
        internal uint Flags;
    }
}
