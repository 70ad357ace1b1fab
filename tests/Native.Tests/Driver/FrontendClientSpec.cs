using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Support;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Tests.Driver;

public sealed class FrontendClientSpec : IDisposable
{
    private readonly OwnedFd _peer;
    private readonly FrontendClient _client;

    public FrontendClientSpec()
    {
        (OwnedFd mine, _peer) = UnixSocket.Pair();
        _client = new FrontendClient(mine) { Timeout = TimeSpan.FromMilliseconds(200) };
    }

    public void Dispose()
    {
        _client.Dispose();
        _peer.Dispose();
    }

    [Fact]
    public void A_request_has_number_flags_size_and_payload_in_little_endian()
    {
        _client.SetVringNum(3, 0x100);
        Assert.Equal(Convert.FromHexString("08000000" + "01000000" + "08000000" + "03000000" + "00010000"), FromClient().Bytes);
    }

    [Fact]
    public void Ring_addresses_stand_in_the_order_descriptors_used_available()
    {
        byte[] payload = FrontendClient.VringAddresses(1, new RingAddresses(0x11, 0x22, 0x33));
        Assert.Equal(0x11, payload[8]);
        Assert.Equal(0x33, payload[16]);
        Assert.Equal(0x22, payload[24]);
    }

    [Fact]
    public void The_memory_table_comes_with_one_descriptor_for_each_region()
    {
        using var ram = new GuestRam(new GuestRamOptions { Pieces = [new(0, 4096), new(8192, 4096)], OneFile = true });
        _client.SetMemTable(ram);
        (byte[] bytes, List<OwnedFd> fds) = FromClient();
        Assert.Equal(12 + 8 + 64, bytes.Length);
        Assert.Equal(2, fds.Count);
        fds.ForEach(fd => fd.Dispose());
    }

    [Fact]
    public void With_reply_ack_an_answer_of_zero_is_consent_and_anything_else_a_refusal()
    {
        _client.SetProtocolFeatures(ProtocolFeatures.ReplyAck);
        FromClient();
        ToClient(RequestCode.SetOwner, 5, 0);
        _client.SetOwner();
        Assert.Equal(9, FromClient().Bytes[4]);
        ToClient(RequestCode.SetOwner, 5, 1);
        Assert.Equal(RequestCode.SetOwner, Assert.Throws<RequestRefusedException>(_client.SetOwner).Request);
    }

    [Fact]
    public void Without_reply_ack_nothing_is_awaited()
    {
        _client.SetOwner();
        Assert.Equal(1, FromClient().Bytes[4]);
    }

    [Fact]
    public void An_answer_to_another_request_or_without_the_reply_flag_is_an_error()
    {
        ToClient(RequestCode.GetQueueNum, 5, 1);
        Assert.Throws<FrontendException>(() => _client.GetFeatures());
        ToClient(RequestCode.GetFeatures, 1, 1);
        Assert.Throws<FrontendException>(() => _client.GetFeatures());
    }

    [Fact]
    public void A_back_end_that_is_silent_or_gone_is_an_error()
    {
        Assert.Throws<FrontendException>(() => _client.GetFeatures());
        Assert.False(_client.WaitForClose(TimeSpan.FromMilliseconds(10)));
        _peer.Dispose();
        Assert.True(_client.WaitForClose(Waiting.Limit));
        Assert.Throws<FrontendException>(() => _client.GetFeatures());
    }

    [Fact]
    public void Ring_descriptors_are_passed_or_declared_absent_by_bit_8()
    {
        using var call = new EventFd();
        _client.SetVringCall(5, call.Fd);
        (byte[] bytes, List<OwnedFd> fds) = FromClient();
        Assert.Equal(5, bytes[12]);
        Assert.Equal(0, bytes[13]);
        Assert.Single(fds);
        fds[0].Dispose();
        _client.SetVringKick(5, null);
        (bytes, fds) = FromClient();
        Assert.Equal(1, bytes[13]);
        Assert.Empty(fds);
    }

    private (byte[] Bytes, List<OwnedFd> Fds) FromClient()
    {
        byte[] room = new byte[4096];
        var fds = new List<OwnedFd>();
        using FdLease lease = _peer.Lease();
        Received received = FdPassing.Receive(lease.Number, room, fds);
        return (room[..(int)received.Bytes.OrThrow("recvmsg")], fds);
    }

    private void ToClient(RequestCode request, byte flags, byte number)
    {
        byte[] message = [(byte)request, 0, 0, 0, flags, 0, 0, 0, 8, 0, 0, 0, number, 0, 0, 0, 0, 0, 0, 0];
        using FdLease lease = _peer.Lease();
        Assert.Equal(20, FdPassing.Send(lease.Number, message, []).Count);
    }
}
