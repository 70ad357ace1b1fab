using System.Buffers.Binary;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>A front-end sends messages that no reader of the specification would send.</summary>
[Collection(HostileCollection.Name)]
public sealed class RequestFormSpec(HostileBackend backend)
{
    private const uint VersionAndReply = 5;
    private const int MaxPayload = 4096;

    /// <summary>Every request that is served.</summary>
    public static TheoryData<RequestCode> Served => [.. RequestShape.All.Keys];

    /// <summary>Those whose refusal does not end the session.</summary>
    public static TheoryData<RequestCode> Forgiven => [.. RequestShape.All.Keys.Except([RequestCode.SetLogBase])];

    /// <summary>Every request that a feature must have been acknowledged for.</summary>
    public static TheoryData<RequestCode> Negotiated =>
    [
        .. RequestShape.All.Where(each => each.Value.BehindIommu || each.Value.Needs != 0).Select(each => each.Key),
    ];

    /// <summary>Numbers of which the specification knows nothing, or which have nothing to do with a network card.</summary>
    public static TheoryData<uint> NotServed =>
    [
        0, 45, 46, 100, 1000, 0x7fff_ffff, 0x8000_0001, uint.MaxValue,
        (uint)RequestCode.SetVringEndian, (uint)RequestCode.CreateCryptoSession, (uint)RequestCode.CloseCryptoSession,
        (uint)RequestCode.GpuSetSocket, (uint)RequestCode.GetSharedObject, (uint)RequestCode.GetShmemConfig,
    ];

    [SkippableTheory]
    [MemberData(nameof(NotServed))]
    public Task An_unknown_request_is_refused_and_the_session_lives_on(uint request) => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
        using EventFd fd = new();
        foreach (int size in new[] { 0, 8, 40, MaxPayload })
        {
            frontEnd.ExpectRefusal((RequestCode)request, new byte[size]);
            frontEnd.ExpectRefusal((RequestCode)request, new byte[size], fd.Fd, fd.Fd);
            frontEnd.ExpectSilentRefusal((RequestCode)request, new byte[size]);
            frontEnd.ExpectSilentRefusal((RequestCode)request, new byte[size], fd.Fd);
        }
    });

    [SkippableTheory]
    [MemberData(nameof(Served))]
    public Task A_request_of_the_wrong_size_is_refused_and_the_session_lives_on(RequestCode request) =>
        backend.SurvivesAsync(() =>
        {
            using HostileFrontEnd frontEnd = Connect(request);
            RequestShape shape = RequestShape.All[request];
            using GuestRam ram = new(GuestRamOptions.OfSize(1));
            OwnedFd[] fds = [.. Enumerable.Repeat(ram.FileOf(0), shape.MinFds)];
            foreach (int size in shape.WrongSizes)
            {
                frontEnd.ExpectRefusal(request, new byte[size], fds);
            }
        });

    [SkippableTheory]
    [MemberData(nameof(Served))]
    public Task A_request_with_the_wrong_number_of_fds_is_refused_and_the_session_lives_on(RequestCode request) =>
        backend.SurvivesAsync(() =>
        {
            using HostileFrontEnd frontEnd = Connect(request);
            RequestShape shape = RequestShape.All[request];
            using GuestRam ram = new(GuestRamOptions.OfSize(1));
            byte[] payload = PayloadOf(request, shape, ram);
            foreach (int count in shape.WrongFdCounts)
            {
                frontEnd.ExpectRefusal(request, payload, [.. Enumerable.Repeat(ram.FileOf(0), count)]);
            }
        });

    [SkippableTheory]
    [MemberData(nameof(Forgiven))]
    public Task A_wrong_request_that_wants_no_answer_gets_none_but_its_own(RequestCode request) => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = Connect(request);
        using EventFd fd = new();
        frontEnd.ExpectSilentRefusal(request, new byte[MaxPayload], fd.Fd, fd.Fd, fd.Fd);
    });

    [SkippableFact]
    public Task A_wrong_SET_LOG_BASE_that_wants_no_answer_ends_the_connection_alone() => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = Connect(RequestCode.SetLogBase);
        using EventFd fd = new();
        frontEnd.Client.Send((uint)RequestCode.SetLogBase, new byte[MaxPayload], false, fd.Fd, fd.Fd, fd.Fd);
        Assert.True(frontEnd.Client.WaitForClose(HostileBackend.Patience), "the connection is still open");
    });

    [SkippableTheory]
    [MemberData(nameof(Negotiated))]
    public Task A_request_whose_feature_was_not_negotiated_is_refused_and_its_fds_closed(RequestCode request) =>
        backend.SurvivesAsync(() =>
        {
            RequestShape shape = RequestShape.All[request];
            using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend, without: shape.Needs);
            using GuestRam ram = new(GuestRamOptions.OfSize(1));
            byte[] payload = PayloadOf(request, shape, ram);
            OwnedFd[] fds = [.. Enumerable.Repeat(ram.FileOf(0), shape.MinFds)];
            frontEnd.ExpectRefusal(request, payload, fds);
            frontEnd.ExpectSilentRefusal(request, payload, fds);
        });

    [SkippableTheory]
    [InlineData(0u)]
    [InlineData(2u)]
    [InlineData(3u)]
    public Task A_message_of_another_version_ends_the_connection_alone(uint version) =>
        EndsTheConnectionAsync(Header((uint)RequestCode.GetFeatures, version, 0));

    [SkippableTheory]
    [InlineData((uint)MaxPayload + 1)]
    [InlineData(0x10000u)]
    [InlineData(0x7fff_ffffu)]
    [InlineData(uint.MaxValue)]
    public Task A_payload_too_big_for_any_message_ends_the_connection_alone(uint size) =>
        EndsTheConnectionAsync(Header((uint)RequestCode.SetMemTable, 1, size));

    [SkippableFact]
    public Task A_reply_that_nobody_asked_for_is_passed_over() => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
        using EventFd fd = new();
        int before = backend.Descriptors;
        for (int i = 0; i < 50; i++)
        {
            frontEnd.Client.SendRaw(Header((uint)RequestCode.GetFeatures, VersionAndReply, 0), fd.Fd);
            frontEnd.Client.SendRaw(Header((uint)RequestCode.GetFeatures, VersionAndReply | 8, 0), fd.Fd);
        }

        frontEnd.ExpectAlive();
        Assert.Equal(before, backend.Descriptors);
    });

    [SkippableFact]
    public Task Bits_of_the_flags_that_mean_nothing_are_passed_over() => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
        ulong offered = (ulong)frontEnd.Client.GetFeatures();
        frontEnd.Client.SendRaw(Header((uint)RequestCode.GetFeatures, 0xffff_fff1, 0));
        using FrontendReply reply = frontEnd.Client.Receive();
        Assert.Equal(offered, reply.Number);
    });

    [SkippableFact]
    public Task More_fds_than_a_message_may_carry_end_the_connection_alone() => backend.SurvivesAsync(() =>
    {
        using FrontendClient client = backend.ConnectClient();
        using EventFd fd = new();
        OwnedFd[] most = [.. Enumerable.Repeat(fd.Fd, 253)];
        byte[] message = [.. Header((uint)RequestCode.SetVringKick, 1, 8), .. new byte[8]];

        // The kernel takes 253 at once, so each piece of the message brings as many.
        FrontendException refused = Assert.Throws<FrontendException>(() =>
        {
            foreach (byte[] piece in message.Chunk(2))
            {
                client.SendRaw(piece, most);
            }

            client.Receive();
        });
        Assert.True(client.WaitForClose(HostileBackend.Patience), $"the connection is still open: {refused.Message}");
    });

    /// <summary>A front-end that has negotiated what the request needs.</summary>
    private HostileFrontEnd Connect(RequestCode request) =>
        HostileFrontEnd.Connect(backend, behindIommu: RequestShape.All[request].BehindIommu);

    private Task EndsTheConnectionAsync(byte[] message) => backend.SurvivesAsync(() =>
    {
        using EventFd fd = new();
        using FrontendClient fresh = backend.ConnectClient();
        fresh.SendRaw(message, fd.Fd);
        Assert.True(fresh.WaitForClose(HostileBackend.Patience), "the connection is still open");
        using VirtioNetDriver driver = backend.Connect(new VirtioNetOptions { Pairs = 2, QueueSize = 64 });
        GoodGuest.ExchangeFrames(backend, driver);
        driver.Client.SendRaw(message, fd.Fd);
        Assert.True(driver.Client.WaitForClose(HostileBackend.Patience), "the connection is still open");
    });

    private static byte[] Header(uint request, uint flags, uint size)
    {
        byte[] header = new byte[12];
        BinaryPrimitives.WriteUInt32LittleEndian(header, request);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(4), flags);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(8), size);
        return header;
    }

    /// <summary>A payload that would be right with the right number of descriptors.</summary>
    private static byte[] PayloadOf(RequestCode request, RequestShape shape, GuestRam ram) => request switch
    {
        RequestCode.SetMemTable => FrontendClient.MemTable(ram.Regions),
        RequestCode.AddMemReg or RequestCode.RemMemReg => FrontendClient.SingleRegion(ram.Regions[0]),
        RequestCode.NetSetMtu => FrontendClient.Number(1500),
        _ => new byte[shape.MinSize],
    };
}
