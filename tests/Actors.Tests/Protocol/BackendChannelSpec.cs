using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>The session's view of the channel for requests by the back-end, and of what is told over it.</summary>
public sealed class BackendChannelSpec
{
    private const int StatusOffset = 6;
    private const int MtuOffset = 10;

    [Fact]
    public void The_socket_belongs_to_the_state_and_outlives_a_reset()
    {
        Conversation conversation = Conversation.Negotiated();
        OwnedFd socket = Socket();
        Assert.Equal(0UL, conversation.Ask(RequestCode.SetBackendReqFd, default, socket));
        Assert.Same(socket, conversation.State.BackendChannel);
        Assert.Contains(socket, conversation.State.Fds);

        conversation.Send(RequestCode.ResetDevice);
        Assert.Same(socket, conversation.State.BackendChannel);
    }

    [Fact]
    public void Another_socket_takes_the_place_of_the_first()
    {
        Conversation conversation = Conversation.Negotiated();
        OwnedFd first = Socket();
        OwnedFd second = Socket();
        conversation.Send(RequestCode.SetBackendReqFd, default, first);
        SessionState before = conversation.State;
        conversation.Send(RequestCode.SetBackendReqFd, default, second);

        Assert.Same(second, conversation.State.BackendChannel);
        Assert.Equal([first], before.FdsNotIn(conversation.State));
    }

    [Fact]
    public void What_is_no_connected_stream_socket_is_refused_and_closed()
    {
        OwnedFd[] others = [Conversation.NewFd(), ListeningSocket(), Support.FrontEnd.TempFile(4096)];
        Conversation conversation = Conversation.Negotiated();
        foreach (OwnedFd other in others)
        {
            Assert.Equal(1UL, conversation.Ask(RequestCode.SetBackendReqFd, default, other));
            Assert.True(other.IsClosed);
            Assert.Null(conversation.State.BackendChannel);
        }
    }

    [Fact]
    public void It_takes_exactly_one_socket_and_no_payload()
    {
        Conversation conversation = Conversation.Negotiated();
        Assert.Equal(1UL, conversation.Ask(RequestCode.SetBackendReqFd));
        Assert.Equal(1UL, conversation.Ask(RequestCode.SetBackendReqFd, default, Socket(), Socket()));
        Assert.Equal(1UL, conversation.Ask(RequestCode.SetBackendReqFd, Conversation.U64(0), Socket()));
    }

    [Fact]
    public void It_is_refused_where_BACKEND_REQ_is_masked()
    {
        var conversation = Conversation.Negotiated(Conversation.Profile with
        {
            ProtocolFeatures = VhostUserSession.SupportedProtocolFeatures & ~ProtocolFeatures.BackendReq,
        });
        Assert.Equal(1UL, conversation.Ask(RequestCode.SetBackendReqFd, default, Socket()));
    }

    [Fact]
    public void The_link_stands_in_the_configuration_space()
    {
        Conversation conversation = Conversation.Negotiated();
        SessionState up = conversation.State;
        Assert.Equal(VirtioNetConfig.LinkUp, Config(conversation, StatusOffset));

        conversation.State = up with { LinkUp = false };
        Assert.Equal(0, Config(conversation, StatusOffset));
        Assert.True(conversation.State.HasOtherConfigThan(up));
    }

    [Fact]
    public void The_last_word_on_the_MTU_counts()
    {
        Conversation conversation = Conversation.Negotiated();
        SessionState before = conversation.State;
        conversation.Send(RequestCode.NetSetMtu, Conversation.U64(9000));
        Assert.True(conversation.State.HasOtherConfigThan(before));
        conversation.State = conversation.State.WithConfiguredMtu(2000);
        Assert.Equal(2000, Config(conversation, MtuOffset));
        conversation.Send(RequestCode.NetSetMtu, Conversation.U64(3000));
        Assert.Equal(3000, Config(conversation, MtuOffset));
    }

    [Fact]
    public void What_the_front_end_writes_itself_is_not_told_to_it()
    {
        Conversation conversation = Conversation.Negotiated(Conversation.Profile, VirtioFeatures.ProtocolFeatures);
        SessionState before = conversation.State;
        byte[] mac = [2, 0, 0, 0, 0, 9];
        Assert.Equal(0UL, conversation.Ask(RequestCode.SetConfig, new ConfigPayload(0, 6, 0, mac).ToBytes()));
        Assert.False(conversation.State.HasOtherConfigThan(before));
    }

    private static OwnedFd ListeningSocket()
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("ringmaster-");
        try
        {
            using UnixListener listener = UnixListener.Bind(Path.Combine(directory.FullName, "sock"));
            return listener.Fd.Duplicate();
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static OwnedFd Socket()
    {
        (OwnedFd ours, OwnedFd theirs) = UnixSocket.Pair();
        theirs.Dispose();
        return ours;
    }

    private static ushort Config(Conversation conversation, int offset)
    {
        conversation.Send(RequestCode.GetConfig, new ConfigPayload((uint)offset, 2, 0, new byte[2]).ToBytes());
        return BitConverter.ToUInt16(conversation.Payload()!.Value.Span[ConfigPayload.HeaderSize..]);
    }
}
