using System.Net.Sockets;
using System.Text.Json;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>QEMU's monitor: one JSON object a line (QMP). One command at a time.</summary>
internal sealed class QemuMonitor : IDisposable
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    private readonly Socket _socket;
    private readonly StreamReader _reader;
    private readonly StreamWriter _writer;

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
        await Eventually.EqualAsync(true, () => File.Exists(path), Timeout);
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        QemuMonitor monitor = new(socket);
        await monitor.ReadAsync("QMP");
        await monitor.RunAsync("qmp_capabilities");
        return monitor;
    }

    /// <summary>Gives a command; its answer.</summary>
    internal async Task<JsonElement> RunAsync(string command, object? arguments = null)
    {
        await _writer.WriteLineAsync(JsonSerializer.Serialize(
            new Dictionary<string, object?> { ["execute"] = command, ["arguments"] = arguments ?? new { } }));
        return await ReadAsync("return");
    }

    public void Dispose()
    {
        _writer.Dispose();
        _reader.Dispose();
        _socket.Dispose();
    }

    /// <summary>The next line that has this member; events are left out.</summary>
    private async Task<JsonElement> ReadAsync(string member)
    {
        using CancellationTokenSource limit = new(Timeout);
        while (true)
        {
            string line = await _reader.ReadLineAsync(limit.Token) ?? throw new EndOfStreamException("QEMU closed its monitor");
            JsonElement answer = JsonDocument.Parse(line).RootElement;
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
