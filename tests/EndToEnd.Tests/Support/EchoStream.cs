using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// One TCP connection between host and guest for as long as the test lasts. The host sends noise as fast as it is taken, a
/// program in the guest sends it back and adds up a checksum, and the host adds up those of both directions.
/// </summary>
internal sealed class EchoStream : IDisposable
{
    private const int Port = 5001;
    private const int BlockSize = 16 << 10;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private readonly TcpClient _connection;
    private readonly CancellationTokenSource _enough = new();
    private readonly Task<string> _sent;
    private readonly Task<string> _echoed;
    private readonly Lock _gate = new();
    private TaskCompletionSource _more = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _sentBytes;
    private long _echoedBytes;

    private EchoStream(TcpClient connection)
    {
        _connection = connection;
        _sent = Task.Run(SendAsync);
        _echoed = Task.Run(ReceiveAsync);
    }

    /// <summary>Bytes that have gone to the guest and come back.</summary>
    internal long EchoedBytes => Interlocked.Read(ref _echoedBytes);

    /// <summary>Connects the guest to the host.</summary>
    internal static async Task<EchoStream> StartAsync(TestNamespace network, QemuGuest guest)
    {
        using TcpListener listener = network.Inside(() => Listen());
        await guest.MustRunAsync(
            "mkfifo /tmp/echo && "
            + $"(nc {ServedGuest.HostAddress} {Port} < /tmp/echo | tee /tmp/echo | sha256sum > /tmp/sum) > /dev/null 2>&1 &");
        return new EchoStream(await listener.AcceptTcpClientAsync().WaitAsync(Patience));
    }

    /// <summary>Waits until that much more has come back.</summary>
    internal Task ProgressAsync(int bytes) => ReachAsync(EchoedBytes + bytes);

    /// <summary>Sends no more, waits for the rest to come back, and compares all checksums.</summary>
    internal async Task EndAsync(QemuGuest guest)
    {
        await _enough.CancelAsync();
        string sent = await _sent.WaitAsync(Patience);
        await ReachAsync(_sentBytes);
        _connection.Client.Shutdown(SocketShutdown.Send);
        Assert.Equal(sent, await _echoed.WaitAsync(Patience));
        string inGuest = await guest.MustRunAsync("until [ -s /tmp/sum ]; do usleep 20000; done; cat /tmp/sum");
        Assert.StartsWith(sent, inGuest, StringComparison.OrdinalIgnoreCase);
    }

    public void Dispose()
    {
        _enough.Cancel();
        _connection.Dispose();
    }

    private static TcpListener Listen()
    {
        TcpListener listener = new(IPAddress.Parse(ServedGuest.HostAddress), Port);
        listener.Start();
        return listener;
    }

    private async Task<string> SendAsync()
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Random random = new(1);
        byte[] block = new byte[BlockSize];
        while (!_enough.IsCancellationRequested)
        {
            random.NextBytes(block);
            hash.AppendData(block);
            await _connection.GetStream().WriteAsync(block, CancellationToken.None);
            _sentBytes += block.Length;
        }

        return Convert.ToHexString(hash.GetHashAndReset());
    }

    private async Task<string> ReceiveAsync()
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] block = new byte[BlockSize];
        int count;
        while ((count = await _connection.GetStream().ReadAsync(block, CancellationToken.None)) > 0)
        {
            hash.AppendData(block.AsSpan(0, count));
            Interlocked.Add(ref _echoedBytes, count);
            TaskCompletionSource woken;
            lock (_gate)
            {
                woken = _more;
                _more = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            woken.SetResult();
        }

        return Convert.ToHexString(hash.GetHashAndReset());
    }

    private async Task ReachAsync(long wanted)
    {
        using CancellationTokenSource limit = new(Patience);
        while (true)
        {
            Task more;
            lock (_gate)
            {
                more = _more.Task;
            }

            if (EchoedBytes >= wanted)
            {
                return;
            }

            if (await Task.WhenAny(more, _echoed).WaitAsync(limit.Token) == _echoed)
            {
                await _echoed;
                throw new EndOfStreamException($"the guest has closed the connection after {EchoedBytes} bytes, not {wanted}");
            }
        }
    }
}
