using System.Buffers.Binary;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Driver;

/// <summary>
/// The IOMMU of our own guest: answers the back-end's misses with translations, page by page, and withdraws them. It has a
/// thread, and shares the connection with the driver.
/// </summary>
/// <remarks>
/// IO virtual addresses are what the driver takes for guest addresses. The memory table names the memory
/// <see cref="Distance"/> higher, so that no address of the driver means anything to a back-end that does not translate.
/// </remarks>
public sealed class DriverIommu : IDisposable
{
    /// <summary>How far the memory table's guest addresses are from the IO virtual addresses.</summary>
    public const ulong Distance = 1UL << 40;

    /// <summary>Bytes of a page.</summary>
    public const ulong PageSize = 4096;

    private const int MissSize = 32;
    private readonly VirtioNetDriver _driver;
    private readonly BackendInbox _inbox;
    private readonly EventFd _stop = new();
    private readonly Thread _thread;
    private readonly Lock _gate = new();
    private Exception? _failure;
    private bool _withheld;

    /// <summary>Starts the thread.</summary>
    /// <param name="driver">Has acknowledged ACCESS_PLATFORM.</param>
    /// <param name="inbox">The back-end's requests; stays the caller's.</param>
    public DriverIommu(VirtioNetDriver driver, BackendInbox inbox)
    {
        _driver = driver;
        _inbox = inbox;
        _thread = new Thread(Main) { Name = "iommu", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Misses that came.</summary>
    public int Misses { get; private set; }

    /// <summary>What pages may be used for, by address; null = for what was asked.</summary>
    public Func<ulong, IotlbAccess>? Permits { get; set; }

    /// <summary>While true, a miss gets no translation. One that came meanwhile is not made up for.</summary>
    public bool Withheld
    {
        get => Volatile.Read(ref _withheld);
        set => Volatile.Write(ref _withheld, value);
    }

    /// <summary>Withdraws the translation of some addresses; when this returns, the device uses it no more.</summary>
    public void Invalidate(ulong iova, ulong size)
    {
        lock (_gate)
        {
            Check(_driver.Client.TrySendIotlb(IotlbType.Invalidate, iova, size, 0, IotlbAccess.None));
        }
    }

    /// <summary>Gives the translation of a page.</summary>
    public void Map(ulong iova, IotlbAccess access)
    {
        lock (_gate)
        {
            ulong page = iova & ~(PageSize - 1);
            access = Permits?.Invoke(page) ?? access;
            Check(_driver.Client.TrySendIotlb(IotlbType.Update, page, PageSize, _driver.Ram.ToUser(page), access));
        }
    }

    /// <summary>Ends the thread; what went wrong in it is thrown here.</summary>
    public void Dispose()
    {
        _stop.Signal();
        _thread.Join();
        _stop.Dispose();
        if (_failure is { } failure)
        {
            throw new FrontendException($"IOMMU: {failure.Message}");
        }
    }

    private static void Check(ulong answer)
    {
        if (answer != 0)
        {
            throw new RequestRefusedException(RequestCode.IotlbMsg, answer);
        }
    }

    private void Main()
    {
        try
        {
            while (_stop.Drain() == 0)
            {
                FdWait.ForAny([_stop.Fd, _inbox.Fd], TimeSpan.FromSeconds(1));
                while (_inbox.TryReceive(TimeSpan.Zero) is { } request)
                {
                    using (request)
                    {
                        Serve(request);
                    }
                }
            }
        }
        catch (Exception e) when (e is IOException or LinuxException)
        {
            _failure = e;
        }
    }

    private void Serve(FrontendReply request)
    {
        bool isMiss = request.Request == (uint)BackendRequestCode.IotlbMsg
            && request.Payload.Length == MissSize
            && request.Payload[25] == (byte)IotlbType.Miss;
        if (!isMiss)
        {
            throw new FrontendException($"request {request.Request} is no miss");
        }

        Misses++;
        if (!Withheld)
        {
            Map(BinaryPrimitives.ReadUInt64LittleEndian(request.Payload), (IotlbAccess)request.Payload[24]);
        }

        _inbox.Answer(request, Withheld ? 1u : 0);
    }
}
