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
        const uint Flags = MessageHeader.Version | MessageHeader.NeedReplyFlag;
        _fixture.Write(ConnectionFixture.Bytes(5, payload, Flags), first.Fd, second.Fd);

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

    [Fact]
    public void Asking_twice_at_once_is_a_fault_of_the_caller()
    {
        _fixture.Connection.ReceiveNext();
        Assert.Throws<InvalidOperationException>(_fixture.Connection.ReceiveNext);
    }

    [Fact]
    public async Task Nothing_is_read_that_was_not_asked_for()
    {
        byte[] bytes = ConnectionFixture.Bytes(1, new byte[4000]);
        int sent = 0;
        while (_fixture.TryWrite(bytes))
        {
            sent++;
        }

        for (int i = 0; i < sent; i++)
        {
            Assert.True(_fixture.IsQuiet);
            (await _fixture.NextMessage()).Dispose();
        }

        Assert.True(_fixture.TryWrite(bytes));
    }

    [Fact]
    public void A_peer_that_does_not_read_gets_an_error_instead_of_patience()
    {
        IoResult result;
        do
        {
            result = _fixture.Connection.SendReply(1, new byte[4000]);
        }
        while (result.Ok);
        Assert.Equal(Errno.EAGAIN, result.Error);
    }

    [Fact]
    public void A_reply_to_a_peer_that_is_gone_is_an_error()
    {
        _fixture.Peer.Dispose();

        // A process that another test is just starting has a copy of every descriptor for a moment.
        Assert.True(SpinWait.SpinUntil(() => _fixture.Connection.SendReply(1, []).Error == Errno.EPIPE, Waiting.Limit));
        _fixture.Connection.Dispose();
        Assert.Equal(Errno.EBADF, _fixture.Connection.SendReply(1, []).Error);
    }

    [Fact]
    public async Task A_peer_that_goes_without_reading_its_replies_ends_the_connection_with_a_reason()
    {
        Assert.True(_fixture.Connection.SendReply(1, new byte[8]).Ok);
        _fixture.Peer.Dispose();
        Assert.Contains("ECONNRESET", await _fixture.NextClosed());
    }

    [Fact]
    public async Task The_connection_may_be_disposed_and_asked_from_its_own_event()
    {
        using var loop = new ReadinessLoop("own-event");
        (OwnedFd ours, OwnedFd theirs) = UnixSocket.Pair();
        using OwnedFd peer = theirs;
        var seen = new TaskCompletionSource<int>();
        int count = 0;
        VhostUserConnection? connection = null;
        connection = new VhostUserConnection(ours, loop, happened =>
        {
            ((MessageReceived)happened).Message.Dispose();
            if (++count < 3)
            {
                connection!.ReceiveNext();
                return;
            }

            connection!.Dispose();
            seen.SetResult(count);
        });
        _fixture.WriteTo(peer, [.. Enumerable.Repeat(ConnectionFixture.Bytes(3, []), 4).SelectMany(bytes => bytes)]);
        connection.ReceiveNext();
        Assert.Equal(3, await seen.Task.Soon());
    }

    [Fact]
    public async Task Disposing_in_one_thread_while_messages_come_in_another_loses_no_descriptor()
    {
        (OwnedFd read, OwnedFd write) = Pipe.Create();
        using (read)
        using (write)
        {
            int before = OpenFds.PointingTo(read);
            for (int round = 0; round < 200; round++)
            {
                using var fixture = new ConnectionFixture();
                fixture.Write(ConnectionFixture.Bytes(5, []), read, read);
                fixture.Connection.ReceiveNext();
                await Task.Run(fixture.Connection.Dispose).Soon();
                fixture.DisposeMessages();
            }

            Assert.Equal(before, OpenFds.PointingTo(read));
        }
    }
}
