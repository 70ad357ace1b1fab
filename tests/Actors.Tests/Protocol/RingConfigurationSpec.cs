using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using static Ringmaster.Actors.Tests.Protocol.Conversation;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>What no ring may look like, and which message is refused for it.</summary>
public sealed class RingConfigurationSpec
{
    public static TheoryData<RequestCode> RingRequestCodes =>
    [
        RequestCode.SetVringNum, RequestCode.SetVringAddr, RequestCode.SetVringBase, RequestCode.GetVringBase,
        RequestCode.SetVringKick, RequestCode.SetVringCall, RequestCode.SetVringErr, RequestCode.SetVringEnable,
    ];

    [Theory]
    [MemberData(nameof(RingRequestCodes))]
    public void A_ring_that_does_not_exist_is_refused(RequestCode code)
    {
        foreach (int ring in (int[])[4, 5, 255])
        {
            Conversation session = WithMemory();
            string before = StateText.Of(session.State);
            OwnedFd fd = NewFd();
            bool takesFd = code is RequestCode.SetVringKick or RequestCode.SetVringCall or RequestCode.SetVringErr;
            ReadOnlyMemory<byte> payload = code switch
            {
                RequestCode.SetVringAddr => (Addresses(0) with { Index = (uint)ring }).ToBytes(),
                _ when takesFd => Index(ring),
                _ => Ring(ring, 1),
            };

            Assert.Equal(1ul, session.Ask(code, payload, takesFd ? [fd] : []));
            Assert.Equal(before, StateText.Of(session.State));
            Assert.True(!takesFd || fd.IsClosed);
        }
    }

    [Fact]
    public void Ring_numbers_beyond_32_bits_of_a_sign_are_refused() =>
        Assert.Equal(1ul, WithMemory().Ask(RequestCode.SetVringNum, new VringState(0x8000_0000, 256).ToBytes()));

    [Theory]
    [InlineData(0u)]
    [InlineData(3u)]
    [InlineData(255u)]
    [InlineData(1025u)]
    [InlineData(2048u)]
    [InlineData(32768u)]
    [InlineData(0x8000_0000u)]
    [InlineData(0xffff_ffffu)]
    public void A_refused_size_does_not_stay_in_force(uint size)
    {
        Conversation session = WithMemory();
        session.Configure(0);

        Assert.Equal(1ul, session.Ask(RequestCode.SetVringNum, Ring(0, size)));
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());

        Assert.Equal(256, session.Plan(0)!.Size);
    }

    [Fact]
    public void A_refused_size_gives_no_size_to_a_ring_that_had_none()
    {
        Conversation session = WithMemory();
        session.Send(RequestCode.SetVringNum, Ring(0, 4096));
        session.Send(RequestCode.SetVringAddr, Addresses(0).ToBytes());
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());

        Assert.Null(session.Plan(0));
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    [InlineData(1024u)]
    public void Powers_of_two_up_to_the_greatest_are_sizes(uint size) =>
        Assert.Equal(0ul, WithMemory().Ask(RequestCode.SetVringNum, Ring(0, size)));

    [Theory]
    [InlineData(8, 0, 0)]
    [InlineData(0, 1, 0)]
    [InlineData(0, 0, 2)]
    public void Addresses_that_are_not_aligned_are_refused_at_once(int descriptor, int available, int used)
    {
        Conversation session = WithMemory();
        VringAddresses good = Addresses(0);
        VringAddresses bad = good with
        {
            Descriptor = good.Descriptor + (ulong)descriptor,
            Available = good.Available + (ulong)available,
            Used = good.Used + (ulong)used,
        };

        Assert.Equal(1ul, session.Ask(RequestCode.SetVringAddr, bad.ToBytes()));
        Assert.Null(session.State.Rings[0].Addresses);
    }

    public static TheoryData<string> BadLayouts =>
        ["descriptors reach into available", "available equals used", "used within descriptors", "wraps around"];

    [Theory]
    [MemberData(nameof(BadLayouts))]
    public void Parts_that_overlap_or_wrap_are_refused_with_their_addresses_when_the_size_is_known(string layout)
    {
        Conversation session = WithMemory();
        session.Configure(0);
        VringAddresses good = Addresses(0);

        Assert.Equal(1ul, session.Ask(RequestCode.SetVringAddr, Bad(layout).ToBytes()));
        Assert.Equal(good, session.State.Rings[0].Addresses);
    }

    [Theory]
    [MemberData(nameof(BadLayouts))]
    public void Parts_that_overlap_or_wrap_are_refused_with_the_size_when_it_comes_to_a_started_ring(string layout)
    {
        Conversation session = WithMemory();
        Assert.Equal(0ul, session.Ask(RequestCode.SetVringAddr, Bad(layout).ToBytes()));
        Assert.Equal(0ul, session.Ask(RequestCode.SetVringKick, Index(0), NewFd()));

        Assert.Equal(1ul, session.Ask(RequestCode.SetVringNum, Ring(0, 256)));

        Assert.Null(session.Plan(0));
    }

    [Theory]
    [MemberData(nameof(BadLayouts))]
    public void Parts_that_overlap_or_wrap_are_refused_with_the_kick_when_the_size_came_after_them(string layout)
    {
        Conversation session = WithMemory();
        OwnedFd kick = NewFd();
        Assert.Equal(0ul, session.Ask(RequestCode.SetVringAddr, Bad(layout).ToBytes()));
        Assert.Equal(0ul, session.Ask(RequestCode.SetVringNum, Ring(0, 256)));

        Assert.Equal(1ul, session.Ask(RequestCode.SetVringKick, Index(0), kick));

        Assert.True(kick.IsClosed);
        Assert.Null(session.Plan(0));
    }

    [Fact]
    public void Bad_addresses_for_a_running_ring_are_refused_and_it_runs_on()
    {
        Conversation session = Running(0);
        Assert.Equal(1ul, session.Ask(RequestCode.SetVringAddr, Bad("available equals used").ToBytes()));

        Assert.Equal(Addresses(0).Used, session.Plan(0)!.DeviceAddress);
    }

    [Fact]
    public void A_larger_size_may_come_before_the_addresses_that_it_needs()
    {
        Conversation session = Running(0);
        VringAddresses close = Addresses(0) with { Available = UserAddress + 0x1000, Used = UserAddress + 0x1400 };
        Assert.Equal(0ul, session.Ask(RequestCode.SetVringAddr, close.ToBytes()));
        session.Send(RequestCode.GetVringBase, Ring(0, 0));

        Assert.Equal(0ul, session.Ask(RequestCode.SetVringNum, Ring(0, 1024)));
        Assert.Equal(0ul, session.Ask(RequestCode.SetVringAddr, Addresses(0).ToBytes()));
        Assert.Equal(0ul, session.Ask(RequestCode.SetVringKick, Index(0), NewFd()));

        Assert.Equal(1024, session.Plan(0)!.Size);
    }

    [Fact]
    public void Addresses_for_a_smaller_ring_may_come_before_its_size()
    {
        Conversation session = Running(0);
        session.Send(RequestCode.GetVringBase, Ring(0, 0));
        VringAddresses close = Addresses(0) with { Available = UserAddress + 0x400, Used = UserAddress + 0x500 };

        Assert.Equal(0ul, session.Ask(RequestCode.SetVringAddr, close.ToBytes()));
        Assert.Equal(0ul, session.Ask(RequestCode.SetVringNum, Ring(0, 64)));
        Assert.Equal(0ul, session.Ask(RequestCode.SetVringKick, Index(0), NewFd()));

        Assert.Equal(64, session.Plan(0)!.Size);
    }

    [Fact]
    public void Without_EVENT_IDX_the_used_ring_may_follow_the_available_ring_at_once()
    {
        Conversation session = WithMemory();
        session.Send(RequestCode.SetFeatures, U64((ulong)(Everything & ~VirtioFeatures.EventIdx)));
        const ulong available = UserAddress + 0x1000;
        VringAddresses tight = Addresses(0) with { Available = available, Used = available + 4 + (2 * 256) };
        session.Configure(0);

        Assert.Equal(0ul, session.Ask(RequestCode.SetVringAddr, tight.ToBytes()));

        session.Send(RequestCode.SetFeatures, U64((ulong)Everything));
        Assert.Equal(1ul, session.Ask(RequestCode.SetVringAddr, tight.ToBytes()));
    }

    [Fact]
    public void Features_that_a_running_ring_has_no_room_for_are_refused_and_it_runs_on()
    {
        const VirtioFeatures without = Everything & ~VirtioFeatures.EventIdx;
        const ulong available = UserAddress + 0x1000;
        Conversation session = WithMemory();
        session.Send(RequestCode.SetFeatures, U64((ulong)without));
        session.Configure(0);
        VringAddresses tight = Addresses(0) with { Available = available, Used = available + 4 + (2 * 256) };
        session.Send(RequestCode.SetVringAddr, tight.ToBytes());
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());

        Assert.Equal(1ul, session.Ask(RequestCode.SetFeatures, U64((ulong)Everything)));

        Assert.Equal(without, session.Plan(0)!.Features);
    }

    [Theory]
    [InlineData(RequestCode.SetVringKick)]
    [InlineData(RequestCode.SetVringCall)]
    [InlineData(RequestCode.SetVringErr)]
    public void A_regular_file_carries_no_notifications(RequestCode code)
    {
        Conversation session = Running(0);
        string before = StateText.Of(session.State);
        string path = Path.GetTempFileName();
        using var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);
        using var original = new OwnedFd((int)file.SafeFileHandle.DangerousGetHandle());
        OwnedFd copy = original.Duplicate();
        original.SetHandleAsInvalid();

        Assert.Equal(1ul, session.Ask(code, Index(0), copy));

        Assert.True(copy.IsClosed);
        Assert.Equal(before, StateText.Of(session.State));
    }

    [Fact]
    public void Packed_rings_have_other_rules()
    {
        VringAddresses packed = new(0, 0, UserAddress, UserAddress + 0x2004, UserAddress + 0x2000, 0);

        Assert.Null(RingLayout.Check(300, packed, VirtioFeatures.RingPacked));
        Assert.NotNull(RingLayout.Check(300, packed, VirtioFeatures.None));
        Assert.NotNull(RingLayout.Check(300, packed with { Available = UserAddress + 0x2002 }, VirtioFeatures.RingPacked));
        Assert.NotNull(RingLayout.Check(513, packed, VirtioFeatures.RingPacked));
    }

    private static VringAddresses Bad(string layout)
    {
        VringAddresses good = Addresses(0);
        return layout switch
        {
            "descriptors reach into available" => good with { Available = good.Descriptor + (16 * 256) - 2 },
            "available equals used" => good with { Available = good.Used },
            "used within descriptors" => good with { Used = good.Descriptor + 16 },
            "wraps around" => good with { Descriptor = ulong.MaxValue - 15 },
            _ => throw new ArgumentOutOfRangeException(nameof(layout)),
        };
    }
}
