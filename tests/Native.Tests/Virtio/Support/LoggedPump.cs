using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Memory;
using Ringmaster.Native.Tests.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>
/// A pump that runs on the test's thread with a log, so that memory can be compared byte by byte before and after it ran:
/// whatever differs, the pump has written.
/// </summary>
internal sealed class LoggedPump : IDisposable
{
    internal const int Page = 4096;
    private const int LogSize = 4096;
    private readonly SharedFile _file = new(LogSize);
    private readonly TapReadiness _tap = new();
    private readonly DirtyLog _log;
    private readonly RingPump _pump;

    internal LoggedPump(RingFormat format, RingSide side, VirtioFeatures features, bool logUsed = true, bool stopsAtLimit = true)
    {
        Bench = new RingBench(format, 64, RingBench.AllFeatures | features);
        _log = DirtyLog.Map(LogSize, 0, _file.Fd);
        Bench.Memory.Log = _log;
        Io = new QueueTapIo(stopsAtLimit);
        DevicePart = Bench.Plan.DeviceAddress - GuardedMemory.UserBase;
        RingPlan plan = Bench.Plan with { LogUsed = logUsed ? DevicePart : null };
        var factory = new PumpFactory(Io, _tap, new WorkerCounters(), Waiting.Limit);
        Assert.Null(factory.Create(side, plan, Bench.Memory.View, out RingPump? pump));
        _pump = pump!;
    }

    internal RingBench Bench { get; }

    internal QueueTapIo Io { get; }

    /// <summary>Guest address of the used ring or device event suppression.</summary>
    internal ulong DevicePart { get; }

    /// <summary>
    /// Runs the pump until it finds nothing more to do and has gone to sleep and woken up, on a log that is empty at first.
    /// </summary>
    /// <returns>Pages that the log has, and pages that differ.</returns>
    internal (HashSet<ulong> Marked, HashSet<ulong> Changed) Run()
    {
        _file.Write(0, new byte[LogSize]);
        Dictionary<ulong, byte[]> before = Bench.Memory.Pages().ToDictionary(page => page, Contents);
        _tap.Readable = true;
        while (_pump.Run())
        {
        }

        _pump.PrepareSleep();
        _pump.Awake();
        Assert.Null(_pump.Broken);
        return (Marked(), [.. before.Keys.Where(page => !Contents(page).AsSpan().SequenceEqual(before[page]))]);
    }

    public void Dispose()
    {
        _pump.Dispose();
        _log.Release();
        _file.Dispose();
        Bench.Dispose();
    }

    private byte[] Contents(ulong page) => Bench.Memory.Read(page * Page, Page);

    private HashSet<ulong> Marked()
    {
        HashSet<ulong> pages = [];
        byte[] log = _file.Read(0, LogSize);
        for (int page = 0; page < LogSize * 8; page++)
        {
            if ((log[page / 8] >> (page % 8) & 1) != 0)
            {
                pages.Add((ulong)page);
            }
        }

        return pages;
    }
}
