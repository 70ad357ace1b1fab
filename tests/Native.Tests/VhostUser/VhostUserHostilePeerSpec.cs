using CsCheck;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Support;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Tests.VhostUser;

/// <summary>
/// Whatever a peer sends ends in a message or in the end of its connection, and no descriptor of its is left open.
/// Descriptors are counted by the pipe that they point to.
/// </summary>
public sealed class VhostUserHostilePeerSpec : IDisposable
{
    private readonly ConnectionFixture _fixture = new();
    private readonly (OwnedFd Read, OwnedFd Write) _pipe = Pipe.Create();
    private readonly int _before;

    public VhostUserHostilePeerSpec() => _before = OpenFds.PointingTo(_pipe.Read);

    private OwnedFd Fd => _pipe.Read;

    public void Dispose()
    {
        _fixture.Dispose();
        _pipe.Read.Dispose();
        _pipe.Write.Dispose();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task A_message_of_another_version_ends_the_connection(uint version)
    {
        _fixture.Write(ConnectionFixture.Bytes(1, [], version), Fd);
        Assert.Contains($"version {version}", await _fixture.NextClosed());
        AssertNothingLeft();
    }

    [Theory]
    [InlineData(MessageHeader.MaxPayload + 1)]
    [InlineData(int.MaxValue)]
    [InlineData(uint.MaxValue)]
    public async Task A_payload_over_the_limit_ends_the_connection_before_it_is_read(uint size)
    {
        _fixture.Write(ConnectionFixture.Bytes(5, [], size: size), Fd);
        Assert.Contains($"{size} bytes", await _fixture.NextClosed());
        AssertNothingLeft();
    }

    [Fact]
    public async Task A_payload_at_the_limit_is_taken()
    {
        _fixture.Write(ConnectionFixture.Bytes(5, new byte[MessageHeader.MaxPayload]));
        using VhostUserMessage message = await _fixture.NextMessage();
        Assert.Equal(MessageHeader.MaxPayload, message.Payload.Length);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(MessageHeader.SizeInBytes - 1)]
    [InlineData(MessageHeader.SizeInBytes)]
    [InlineData(MessageHeader.SizeInBytes + 7)]
    public async Task A_peer_that_closes_in_the_middle_of_a_message_is_told_from_one_that_ends_well(int bytes)
    {
        _fixture.Write(ConnectionFixture.Bytes(1, new byte[8]).AsSpan(0, bytes), Fd);
        _fixture.Peer.Dispose();
        Assert.Equal("the peer closed in the middle of a message", await _fixture.NextClosed());
        AssertNothingLeft();
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(9999u)]
    [InlineData(uint.MaxValue)]
    public async Task Descriptors_with_any_message_belong_to_it_and_go_with_it(uint request)
    {
        _fixture.Write(ConnectionFixture.Bytes(request, []), Fd, Fd, Fd);
        using (VhostUserMessage message = await _fixture.NextMessage())
        {
            Assert.Equal((request, 3), (message.Request, message.FdCount));
            Assert.Equal(_before + 3, OpenFds.PointingTo(Fd));
        }

        AssertNothingLeft();
    }

    [Fact]
    public async Task A_descriptor_that_was_taken_outlives_the_message()
    {
        _fixture.Write(ConnectionFixture.Bytes(12, new byte[8]), Fd, Fd);
        VhostUserMessage message = await _fixture.NextMessage();
        OwnedFd taken = message.TakeFd(0);
        Assert.Throws<InvalidOperationException>(() => message.TakeFd(0));
        message.Dispose();
        Assert.Throws<InvalidOperationException>(() => message.TakeFd(1));

        Assert.Equal(_before + 1, OpenFds.PointingTo(Fd));
        taken.Dispose();
        AssertNothingLeft();
    }

    [Fact]
    public async Task Descriptors_spread_over_header_and_payload_are_all_in_the_message()
    {
        byte[] bytes = ConnectionFixture.Bytes(5, new byte[40]);
        _fixture.Write(bytes.AsSpan(0, 5), Fd);
        _fixture.Write(bytes.AsSpan(5, 20), Fd, Fd);
        _fixture.Write(bytes.AsSpan(25), Fd);
        using (VhostUserMessage message = await _fixture.NextMessage())
        {
            Assert.Equal(4, message.FdCount);
        }

        AssertNothingLeft();
    }

    [Theory]
    [InlineData(VhostUserConnection.MaxFds + 1)]
    [InlineData(FdPassing.MaxPerMessage)]
    public async Task Too_many_descriptors_at_once_end_the_connection(int count)
    {
        _fixture.Write(ConnectionFixture.Bytes(5, []), [.. Enumerable.Repeat(Fd, count)]);
        Assert.Contains("descriptors came with one message", await _fixture.NextClosed());
        AssertNothingLeft();
    }

    [Fact]
    public async Task Too_many_descriptors_in_small_helpings_end_the_connection()
    {
        byte[] bytes = ConnectionFixture.Bytes(5, new byte[100]);
        for (int i = 0; i < VhostUserConnection.MaxFds + 1; i++)
        {
            _fixture.Write(bytes.AsSpan(i, 1), Fd);
        }

        Assert.Contains("descriptors came with one message", await _fixture.NextClosed());
        AssertNothingLeft();
    }

    [Fact]
    public async Task As_many_descriptors_as_a_full_memory_table_has_are_taken()
    {
        _fixture.Write(ConnectionFixture.Bytes(5, []), [.. Enumerable.Repeat(Fd, VhostUserConnection.MaxFds)]);
        using (VhostUserMessage message = await _fixture.NextMessage())
        {
            Assert.Equal(VhostUserConnection.MaxFds, message.FdCount);
        }

        AssertNothingLeft();
    }

    [Fact]
    public async Task Disposing_in_the_middle_of_a_message_closes_what_came_with_it()
    {
        _fixture.Connection.ReceiveNext();
        _fixture.Write([1], Fd, Fd);
        await Eventually.True(() => OpenFds.PointingTo(Fd) == _before + 2);
        _fixture.Connection.Dispose();
        AssertNothingLeft();
    }

    [Fact]
    public async Task Nothing_comes_after_the_end()
    {
        _fixture.Write(ConnectionFixture.Bytes(1, [], flags: 0));
        Assert.NotNull(await _fixture.NextClosed());
        _fixture.Write(ConnectionFixture.Bytes(1, []), Fd);
        _fixture.Connection.ReceiveNext();
        _fixture.Connection.Dispose();
        _fixture.Connection.ReceiveNext();
        Assert.True(_fixture.IsQuiet);
        AssertNothingLeft();
    }

    [Fact]
    public void Random_bytes_never_end_in_anything_but_a_message_or_the_end()
    {
        Gen.Byte.Array[0, 200].List[1, 8].Sample(
            writes =>
            {
                using var fixture = new ConnectionFixture();
                writes.ForEach(bytes => fixture.Write(bytes, bytes.Length > 0 && bytes[0] % 2 == 0 ? [Fd] : []));
                fixture.Peer.Dispose();
                ConnectionEvent outcome;
                do
                {
                    outcome = fixture.Next().GetAwaiter().GetResult();
                    (outcome as MessageReceived)?.Message.Dispose();
                }
                while (outcome is MessageReceived);
                Assert.IsType<ConnectionClosed>(outcome);
            },
            iter: 300,
            threads: 1);
        AssertNothingLeft();
    }

    private void AssertNothingLeft()
    {
        // What the peer has sent and nobody received stays in the socket: that goes with it.
        _fixture.Dispose();
        Assert.Equal(_before, OpenFds.PointingTo(Fd));
    }
}
