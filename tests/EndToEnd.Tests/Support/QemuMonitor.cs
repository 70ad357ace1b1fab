using System.Net.Sockets;
using System.Text.Json;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>QEMU's monitor: one JSON object a line (QMP). One command at a time.</summary>
internal sealed class QemuMonitor : IDisposable
{
    /// <summary>Commands are answered by QEMU's main thread, which may have to wait for a busy machine.</summary>
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(60);

    private readonly Socket _socket;
    private readonly StreamReader _reader;
    private readonly StreamWriter _writer;
    private readonly Queue<JsonElement> _events = new();

    private QemuMonitor(Socket socket)
    {
        _socket = socket;
        var stream = new NetworkStream(socket);
        _reader = new StreamReader(stream);
        _writer = new StreamWriter(stream) { AutoFlush = true };
    }

    /// <summary>Connects as soon as QEMU listens.</summary>
    internal static async Task<QemuMonitor> ConnectAsync(string path)
    {
        Socket? socket = await Eventually.GetAsync(() => TryConnect(path), connected => connected is not null, Timeout);
        QemuMonitor monitor = new(socket ?? throw new TimeoutException($"QEMU does not listen at {path}"));
        await monitor.ReadAsync("QMP", Timeout);
        await monitor.RunAsync("qmp_capabilities");
        return monitor;
    }

    /// <summary>Gives a command; its answer.</summary>
    internal async Task<JsonElement> RunAsync(string command, object? arguments = null)
    {
        await _writer.WriteLineAsync(JsonSerializer.Serialize(
            new Dictionary<string, object?> { ["execute"] = command, ["arguments"] = arguments ?? new { } }));
        return await ReadAsync("return", Timeout);
    }

    /// <summary>The next event of this name that has not been asked for yet; its data. Others before it are dropped.</summary>
    internal async Task<JsonElement> EventAsync(string name, TimeSpan timeout)
    {
        while (true)
        {
            JsonElement next = _events.TryDequeue(out JsonElement kept) ? kept : await ReadEventAsync(timeout);
            if (next.GetProperty("event").GetString() == name)
            {
                return next.TryGetProperty("data", out JsonElement data) ? data : default;
            }
        }
    }

    public void Dispose()
    {
        _writer.Dispose();
        _reader.Dispose();
        _socket.Dispose();
    }

    private static Socket? TryConnect(string path)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return socket;
        }
        catch (SocketException)
        {
            socket.Dispose();
            return null;
        }
    }

    private async Task<JsonElement> ReadEventAsync(TimeSpan timeout)
    {
        await ReadAsync("event", timeout);
        return _events.Dequeue();
    }

    /// <summary>The next line that has this member; events are kept.</summary>
    private async Task<JsonElement> ReadAsync(string member, TimeSpan timeout)
    {
        using CancellationTokenSource limit = new(timeout);
        while (true)
        {
            string line = await _reader.ReadLineAsync(limit.Token) ?? throw new EndOfStreamException("QEMU closed its monitor");
            JsonElement answer = JsonDocument.Parse(line).RootElement;
            if (answer.TryGetProperty("event", out _))
            {
                _events.Enqueue(answer);
            }

            if (answer.TryGetProperty(member, out JsonElement value))
            {
                return value;
            }

            if (answer.TryGetProperty("error", out JsonElement error))
            {
                throw new InvalidOperationException($"QEMU's monitor: {error}");
            }
        }
    }
}
