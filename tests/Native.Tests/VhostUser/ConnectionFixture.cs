using System.Threading.Channels;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Support;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Tests.VhostUser;

/// <summary>A connection whose peer is a bare socket that the test writes what it likes to.</summary>
internal sealed class ConnectionFixture : IDisposable
{
    private readonly ReadinessLoop _loop = new("test-loop");
    private readonly Channel<ConnectionEvent> _events = Channel.CreateUnbounded<ConnectionEvent>();

    internal ConnectionFixture()
    {
        (OwnedFd ours, Peer) = UnixSocket.Pair();
        Connection = new VhostUserConnection(ours, _loop, happened => _events.Writer.TryWrite(happened));
    }

    internal VhostUserConnection Connection { get; }

    internal OwnedFd Peer { get; }

    /// <summary>True when no event waits that nobody asked for.</summary>
    internal bool IsQuiet => _events.Reader.Count == 0;

    internal static byte[] Bytes(uint request, byte[] payload, uint flags = MessageHeader.Version, uint? size = null)
    {
        byte[] bytes = new byte[MessageHeader.SizeInBytes + payload.Length];
        new MessageHeader(request, flags, size ?? (uint)payload.Length).Write(bytes);
        payload.CopyTo(bytes, MessageHeader.SizeInBytes);
        return bytes;
    }

    /// <summary>Sends bytes, whole, with descriptors. Nothing is sent for no bytes: a stream knows no empty message.</summary>
    internal void Write(ReadOnlySpan<byte> bytes, params OwnedFd[] fds) => WriteTo(Peer, bytes, fds);

    internal void WriteTo(OwnedFd socket, ReadOnlySpan<byte> bytes, params OwnedFd[] fds)
    {
        using FdLease peer = socket.Lease();
        IoResult sent = FdPassing.Send(peer.Number, bytes, fds.Select(fd => fd.Number).ToArray());
        Assert.Equal(bytes.Length, sent.Count);
    }

    /// <summary>False when the socket is full; it is filled with whole writes only.</summary>
    internal bool TryWrite(byte[] bytes)
    {
        using FdLease peer = Peer.Lease();
        IoResult sent = FdPassing.Send(peer.Number, bytes, []);
        Assert.True(sent.WouldBlock || sent.Count == bytes.Length);
        return sent.Ok;
    }

    /// <summary>Ends the loop, then disposes the messages that came and nobody looked at.</summary>
    internal void DisposeMessages()
    {
        _loop.Dispose();
        while (_events.Reader.TryRead(out ConnectionEvent? happened))
        {
            (happened as MessageReceived)?.Message.Dispose();
        }
    }

    internal async Task<ConnectionEvent> Next()
    {
        Connection.ReceiveNext();
        return await Arrival();
    }

    internal Task<ConnectionEvent> Arrival() => _events.Reader.ReadAsync().AsTask().Soon();

    internal async Task<VhostUserMessage> NextMessage() => Assert.IsType<MessageReceived>(await Next()).Message;

    internal async Task<string?> NextClosed() => Assert.IsType<ConnectionClosed>(await Next()).Reason;

    public void Dispose()
    {
        Connection.Dispose();
        Peer.Dispose();
        _loop.Dispose();
    }
}
