using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using static Ringmaster.Actors.Tests.Protocol.Conversation;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>The log of live migration, as far as the session decides it.</summary>
public sealed class MigrationRequestsSpec
{
    private const ulong UsedGuestAddress = 0x6000;

    [Fact]
    public void The_log_of_a_used_ring_goes_on_and_off_while_the_ring_runs()
    {
        Conversation session = Running(0);
        session.State = session.State.WithRingBase(0, 77);
        Assert.Null(session.Plan(0)!.LogUsed);

        Assert.Equal(0ul, session.Ask(RequestCode.SetVringAddr, Logged(0).ToBytes()));
        Assert.Equal((UsedGuestAddress, 77u), (session.Plan(0)!.LogUsed, session.Plan(0)!.Base));

        Assert.Equal(0ul, session.Ask(RequestCode.SetVringAddr, Addresses(0).ToBytes()));
        Assert.Equal((null, 77u), (session.Plan(0)!.LogUsed, session.Plan(0)!.Base));
    }

    [Fact]
    public void The_guest_address_of_a_used_ring_means_nothing_without_the_flag()
    {
        Conversation session = Running(0);
        session.Send(RequestCode.SetVringAddr, (Logged(0) with { Flags = 0 }).ToBytes());

        Assert.Null(session.Plan(0)!.LogUsed);
    }

    [Fact]
    public void LOG_ALL_goes_on_and_off_while_rings_run_and_leaves_all_else_as_it_is()
    {
        Conversation session = Running(0, 1);
        string before = StateText.Of(session.State);

        Assert.Equal(0ul, session.Ask(RequestCode.SetFeatures, U64((ulong)(Everything | VirtioFeatures.LogAll))));
        Assert.Equal(Everything | VirtioFeatures.LogAll, session.Plan(1)!.Features);

        Assert.Equal(0ul, session.Ask(RequestCode.SetFeatures, U64((ulong)Everything)));
        Assert.Equal(before, StateText.Of(session.State));
    }

    [Fact]
    public void LOG_ALL_is_offered_only_where_a_log_can_be_handed_over()
    {
        DeviceProfile without = Profile with { ProtocolFeatures = Profile.ProtocolFeatures & ~ProtocolFeatures.LogShmfd };
        DeviceProfile plain = Profile with { Features = Profile.Features & ~VirtioFeatures.ProtocolFeatures };

        Assert.True(Profile.OfferedFeatures.HasFlag(VirtioFeatures.LogAll));
        Assert.False(without.OfferedFeatures.HasFlag(VirtioFeatures.LogAll));
        Assert.False(plain.OfferedFeatures.HasFlag(VirtioFeatures.LogAll));
    }

    [Fact]
    public void The_fd_of_SET_LOG_FD_is_the_sessions_until_another_comes()
    {
        Conversation session = Running(0);
        (OwnedFd first, OwnedFd second) = (NewFd(), NewFd());
        Assert.Equal(0ul, session.Ask(RequestCode.SetLogFd, default, first));
        SessionState old = session.State;

        Assert.Equal(0ul, session.Ask(RequestCode.SetLogFd, default, second));

        Assert.Equal([first], old.FdsNotIn(session.State));
        Assert.Same(second, session.State.LogCall);
        Assert.Contains(second, session.State.Fds);
    }

    [Fact]
    public void A_regular_file_is_no_fd_for_SET_LOG_FD()
    {
        Conversation session = Running(0);
        OwnedFd file = Ringmaster.Actors.Tests.Support.FrontEnd.TempFile(4096);

        Assert.Equal(1ul, session.Ask(RequestCode.SetLogFd, default, file));

        Assert.True(file.IsClosed);
        Assert.Null(session.State.LogCall);
    }

    [Fact]
    public void A_reset_of_the_device_forgets_no_log()
    {
        Conversation session = Running(0);
        session.Send(RequestCode.SetLogFd, default, NewFd());
        session.Send(RequestCode.ResetDevice);

        Assert.NotNull(session.State.LogCall);
        Assert.Empty(session.Last.Effects);
    }

    private static VringAddresses Logged(int ring) =>
        Addresses(ring) with { Flags = VringAddresses.LogFlag, Log = UsedGuestAddress };
}
