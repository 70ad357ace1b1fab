using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Support;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Tests.VhostUser;

public sealed class VhostUserConnectionSpec : IDisposable
{
    private readonly ConnectionFixture _fixture = new();

    public void Dispose() => _fixture.Dispose();

    [Fact]
    public async Task A_message_arrives_with_payload_and_descriptors_in_the_order_sent()
    {
        using var first = new EventFd();
        using var second = new EventFd();
        byte[] payload = [1, 2, 3, 4];
        _fixture.Write(ConnectionFixture.Bytes(5, payload, MessageHeader.Version | MessageHeader.NeedReplyFlag), first.Fd, second.Fd);

        using VhostUserMessage message = await _fixture.NextMessage();

        Assert.Equal(RequestCode.SetMemTable, message.Code);
        Assert.True(message.NeedReply);
        Assert.False(message.IsReply);
        Assert.Equal(payload, message.Payload.ToArray());
        Assert.Equal(2, message.FdCount);
        using OwnedFd taken = message.TakeFd(1);
        second.Signal();
        using FdLease lease = taken.Lease();
        Assert.Equal(1UL, EventFd.Drain(lease.Number));
    }

    [Fact]
    public async Task A_message_in_single_bytes_is_put_together()
    {
        _fixture.Connection.ReceiveNext();
        foreach (byte value in ConnectionFixture.Bytes(8, new VringState(1, 256).ToBytes()))
        {
            Assert.True(_fixture.IsQuiet);
            _fixture.Write([value]);
        }

        using VhostUserMessage message = Assert.IsType<MessageReceived>(await _fixture.Arrival()).Message;
        Assert.True(VringState.TryRead(message.Payload.Span, out VringState state));
        Assert.Equal(new VringState(1, 256), state);
    }

    [Fact]
    public async Task Two_messages_in_one_write_come_one_at_a_time()
    {
        _fixture.Write([.. ConnectionFixture.Bytes(3, []), .. ConnectionFixture.Bytes(1, [])]);

        using VhostUserMessage first = await _fixture.NextMessage();
        Assert.Equal(RequestCode.SetOwner, first.Code);
        Assert.True(_fixture.IsQuiet);
        using VhostUserMessage second = await _fixture.NextMessage();
        Assert.Equal(RequestCode.GetFeatures, second.Code);
    }

    [Fact]
    public async Task Replies_and_requests_arrive_at_a_connection_on_the_other_end()
    {
        using var kick = new EventFd();
        Assert.True(_fixture.Connection.SendReply(1, new U64Payload(77).ToBytes()).Ok);
        Assert.True(_fixture.Connection.SendRequest(12, new VringFd(3, false).ToBytes(), [kick.Fd], needReply: true).Ok);

        using var loop = new ReadinessLoop("peer");
        var replies = new TaskCompletionSource<VhostUserMessage>();
        var requests = new TaskCompletionSource<VhostUserMessage>();
        using var peer = new VhostUserConnection(_fixture.Peer.Duplicate(), loop, happened =>
        {
            VhostUserMessage message = ((MessageReceived)happened).Message;
            (message.IsReply ? replies : requests).SetResult(message);
        });
        peer.ReceiveNext();
        using VhostUserMessage reply = await replies.Task.Soon();
        peer.ReceiveNext();
        using VhostUserMessage request = await requests.Task.Soon();

        Assert.Equal((1u, 0x5u, 8u), (reply.Header.Request, reply.Header.Flags, reply.Header.Size));
        Assert.Equal(new U64Payload(77).ToBytes(), reply.Payload.ToArray());
        Assert.Equal((12u, 0x9u), (request.Header.Request, request.Header.Flags));
        Assert.Equal(1, request.FdCount);
    }

    [Fact]
    public async Task A_peer_that_closes_between_messages_gave_no_reason()
    {
        _fixture.Write(ConnectionFixture.Bytes(3, []));
        _fixture.Peer.Dispose();

        using VhostUserMessage last = await _fixture.NextMessage();
        Assert.Null(await _fixture.NextClosed());
    }
}
