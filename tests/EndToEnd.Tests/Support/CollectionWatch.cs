using System.Diagnostics.Tracing;
using Microsoft.Diagnostics.NETCore.Client;
using Microsoft.Diagnostics.Tracing;
using Microsoft.Diagnostics.Tracing.Parsers;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// Counts the garbage collections of another .NET process while they happen, by the runtime's own events (EventPipe). The runtime
/// writes them in native code: watching allocates nothing over there.
/// </summary>
internal sealed class CollectionWatch : IDisposable
{
    private const string Runtime = "Microsoft-Windows-DotNETRuntime";
    private readonly DiagnosticsClient _client;
    private readonly EventPipeSession _session;
    private readonly EventPipeEventSource _events;
    private readonly Thread _reader;
    private int _count;

    private CollectionWatch(int process)
    {
        _client = new DiagnosticsClient(process);
        _session = _client.StartEventPipeSession([Provider(ClrTraceEventParser.Keywords.GC)], requestRundown: false);
        _events = new EventPipeEventSource(_session.EventStream);
        _events.Clr.GCStart += _ => Interlocked.Increment(ref _count);
        _reader = new Thread(() => _events.Process()) { Name = "collection watch", IsBackground = true };
        _reader.Start();
    }

    /// <summary>Collections of whatever generation since the beginning. News of one may take some tenths of a second.</summary>
    internal int Count => Volatile.Read(ref _count);

    /// <summary>Begins to watch a process.</summary>
    internal static CollectionWatch Start(int process) => new(process);

    /// <summary>Has the process collect: whoever watches must see that.</summary>
    internal void Induce()
    {
        EventPipeProvider collect = Provider(ClrTraceEventParser.Keywords.GCHeapCollect);
        using EventPipeSession session = _client.StartEventPipeSession([collect], requestRundown: false);
        session.Stop();
    }

    public void Dispose()
    {
        _session.Stop();
        _reader.Join();
        _events.Dispose();
        _session.Dispose();
    }

    private static EventPipeProvider Provider(ClrTraceEventParser.Keywords keywords) =>
        new(Runtime, EventLevel.Informational, (long)keywords);
}
