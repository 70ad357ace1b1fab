using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Driver;

/// <summary>
/// What a front-end does for a guest that arrives by post-copy: it has the content of memory elsewhere, reads from the
/// back-end's userfaultfd which pages are wanted, puts them into the memfds and wakes who waits. A thread of its own.
/// </summary>
/// <remarks>
/// struct uffd_msg: 32 bytes; event u8 at 0, of a fault the address u64 at 16. struct uffdio_range: start u64, length u64.
/// A page is written while the back-end waits for it and for no other, so it need not appear at once.
/// </remarks>
public sealed partial class PageServer : IDisposable
{
    private const int PageSize = 4096;
    private const int MessageSize = 32;
    private const int AddressOffset = 16;
    private const byte PageFault = 0x12;
    private const nuint WakeRequest = 0x8010aa02;
    private static readonly TimeSpan Glance = TimeSpan.FromMilliseconds(20);

    private readonly GuestRam _ram;
    private readonly IReadOnlyList<byte[]> _contents;
    private readonly IReadOnlyList<ulong> _bases;
    private readonly OwnedFd _faults;
    private readonly ManualResetEventSlim _open = new(initialState: true);
    private readonly BlockingCollection<ulong> _wanted = [];
    private readonly HashSet<ulong> _brought = [];
    private readonly Thread _thread;
    private volatile bool _ends;

    /// <summary>Begins to answer faults.</summary>
    /// <param name="ram">Evicted memory.</param>
    /// <param name="contents">What <see cref="GuestRam.Evict"/> gave.</param>
    /// <param name="bases">Where the back-end has mapped each region.</param>
    /// <param name="faults">Its userfaultfd; owned by this object from here on.</param>
    public PageServer(GuestRam ram, IReadOnlyList<byte[]> contents, IReadOnlyList<ulong> bases, OwnedFd faults)
    {
        _ram = ram;
        _contents = contents;
        _bases = bases;
        _faults = faults;
        _thread = new Thread(Serve) { IsBackground = true, Name = "page-server" };
        _thread.Start();
    }

    /// <summary>Pages that were brought because the back-end waited for them.</summary>
    public int PagesWanted => _brought.Count;

    /// <summary>While false, nothing is brought and who waits goes on waiting.</summary>
    public bool Brings
    {
        get => _open.IsSet;
        set
        {
            if (value)
            {
                _open.Set();
            }
            else
            {
                _open.Reset();
            }
        }
    }

    /// <summary>Waits for a fault that has not been asked for yet by this method.</summary>
    /// <returns>False when none came in time.</returns>
    public bool WaitForFault(TimeSpan timeout) => _wanted.TryTake(out _, timeout);

    /// <summary>
    /// Brings everything that nobody has waited for, and ends. A page that is not all zeros was written by the guest meanwhile.
    /// </summary>
    public void BringTheRest()
    {
        Stop();
        for (int i = 0; i < _contents.Count; i++)
        {
            for (int at = 0; at < _contents[i].Length; at += PageSize)
            {
                ulong page = _ram.Regions[i].GuestAddress + (ulong)at;
                if (!_brought.Contains(page) && !_ram.Bytes(page, PageSize).ContainsAnyExcept((byte)0))
                {
                    Bring(i, at);
                }
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Stop();
        _faults.Dispose();
        _open.Dispose();
        _wanted.Dispose();
    }

    private void Stop()
    {
        _ends = true;
        _open.Set();
        _thread.Join();
    }

    private unsafe void Serve()
    {
        byte* message = stackalloc byte[MessageSize];
        using FdLease lease = _faults.Lease();
        while (!_ends)
        {
            if (!FdWait.For(_faults, FdWait.In, Glance) || Sys.Read(lease.Number, message, MessageSize).Count != MessageSize)
            {
                continue;
            }

            var bytes = new ReadOnlySpan<byte>(message + AddressOffset, sizeof(ulong));
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            if (*message == PageFault)
            {
                Answer(lease.Number, address & ~(ulong)(PageSize - 1));
            }
        }
    }

    private void Answer(int fd, ulong address)
    {
        int region = Enumerable.Range(0, _bases.Count)
            .First(i => address - _bases[i] < _ram.Regions[i].Size);
        int at = (int)(address - _bases[region]);
        _wanted.Add(address);
        _open.Wait();
        if (!_ends && _brought.Add(_ram.Regions[region].GuestAddress + (ulong)at))
        {
            Bring(region, at);
        }

        Wake(fd, address);
    }

    private void Bring(int region, int at) =>
        _contents[region].AsSpan(at, PageSize).CopyTo(_ram.Bytes(_ram.Regions[region].GuestAddress + (ulong)at, PageSize));

    private static unsafe void Wake(int fd, ulong address)
    {
        ulong* range = stackalloc ulong[] { address, PageSize };
        ioctl(fd, WakeRequest, range);
    }

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial int ioctl(int fd, nuint request, void* arguments);
}
