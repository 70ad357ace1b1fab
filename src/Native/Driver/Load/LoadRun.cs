using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace Ringmaster.Native.Driver.Load;

/// <summary>Runs one thread for each pair: all warm up, begin together, and end together.</summary>
internal sealed class LoadRun : IDisposable
{
    private readonly CountdownEvent _warm;
    private readonly ManualResetEventSlim _begin = new();
    private readonly CancellationTokenSource _ended = new();
    private readonly Thread[] _threads;
    private ExceptionDispatchInfo? _fault;

    internal LoadRun(PairLoad[] loads)
    {
        _warm = new CountdownEvent(loads.Length);
        _threads = [.. loads.Select(ThreadOf)];
    }

    /// <summary>Returns when all threads have ended; throws what one of them threw.</summary>
    /// <returns>Seconds from the common beginning to the end.</returns>
    internal double Measure(TimeSpan duration, CancellationToken cancellation)
    {
        using CancellationTokenRegistration link = cancellation.Register(_ended.Cancel);
        Array.ForEach(_threads, thread => thread.Start());
        WaitHandle.WaitAny([_warm.WaitHandle, _ended.Token.WaitHandle]);
        long start = Stopwatch.GetTimestamp();
        _begin.Set();
        _ended.Token.WaitHandle.WaitOne(duration);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        _ended.Cancel();
        Array.ForEach(_threads, thread => thread.Join());
        _fault?.Throw();
        return seconds;
    }

    public void Dispose()
    {
        _warm.Dispose();
        _begin.Dispose();
        _ended.Dispose();
    }

    private Thread ThreadOf(PairLoad load) => new(() => Live(load)) { Name = $"load-{load.Pair.Index}", IsBackground = true };

    private void Live(PairLoad load)
    {
        try
        {
            load.WarmUp(_ended.Token);
            _warm.Signal();
            _begin.Wait(_ended.Token);
            load.Run(_ended.Token);
        }
        catch (OperationCanceledException) when (_ended.IsCancellationRequested)
        {
            // Cancelled before it began.
        }
        catch (Exception e)
        {
            _fault = ExceptionDispatchInfo.Capture(e);
            _ended.Cancel();
        }
    }
}
