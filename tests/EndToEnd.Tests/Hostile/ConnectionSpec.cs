using System.Buffers.Binary;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>A front-end that stops in the middle, says nothing, never listens, or comes while another one is served.</summary>
[Collection(HostileCollection.Name)]
public sealed class ConnectionSpec(HostileBackend backend)
{
    private const int Flood = 200_000;
    private static readonly TimeSpan Silence = TimeSpan.FromMilliseconds(200);

    [SkippableTheory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(6)]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    [InlineData(40)]
    public Task A_front_end_that_closes_after_so_many_bytes_of_a_message_leaves_nothing_behind(int bytes) =>
        backend.SurvivesAsync(() =>
        {
            using GuestRam ram = new(GuestRamOptions.OfSize(1));
            byte[] message = Message(RequestCode.SetMemTable, FrontendClient.MemTable(ram.Regions));
            for (int i = 0; i < 10; i++)
            {
                using FrontendClient client = backend.ConnectClient();
                if (bytes > 0)
                {
                    client.SendRaw(message.AsSpan(0, bytes), ram.FileOf(0), ram.FileOf(0));
                }
            }
        });

    [SkippableFact]
    public Task A_message_that_comes_byte_by_byte_with_an_fd_each_is_one_message() => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
        using EventFd fd = new();
        int before = backend.Descriptors;
        foreach (byte part in Message(RequestCode.SetVringNum, FrontendClient.VringState(0, 64), needReply: true))
        {
            frontEnd.Client.SendRaw([part], fd.Fd);
        }

        using FrontendReply reply = frontEnd.Client.Receive();
        Assert.NotEqual(0UL, reply.Number);
        Assert.Equal(before, backend.Descriptors);
    });

    [SkippableTheory]
    [InlineData(5)]
    [InlineData(12)]
    public Task A_front_end_that_falls_silent_in_the_middle_of_a_message_holds_up_nobody_once_it_is_gone(int bytes) =>
        backend.SurvivesAsync(() =>
        {
            using FrontendClient silent = backend.ConnectClient();
            using EventFd fd = new();
            silent.SendRaw(Message(RequestCode.SetVringKick, new byte[8]).AsSpan(0, bytes), fd.Fd);
            Assert.False(silent.WaitForClose(Silence), "half a message is no reason to hang up");
            backend.ExpectIdle();
        });

    [SkippableFact]
    public Task A_front_end_that_never_reads_its_replies_is_cut_off() => backend.SurvivesAsync(() =>
    {
        using FrontendClient client = backend.ConnectClient();
        byte[] question = Message(RequestCode.GetFeatures, []);
        Assert.Throws<FrontendException>(() =>
        {
            for (int i = 0; i < Flood; i++)
            {
                client.SendRaw(question);
            }
        });
    });

    [SkippableFact]
    public Task A_front_end_that_leaves_in_the_middle_of_its_questions_leaves_nothing_behind() => backend.SurvivesAsync(() =>
    {
        for (int i = 0; i < 20; i++)
        {
            using VirtioNetDriver driver = VirtioNetDriver.Start(
                backend.ConnectClient(), new VirtioNetOptions { QueueSize = 64, TransmitBufferSize = 2048 });
            foreach (RequestCode request in new[] { RequestCode.GetFeatures, RequestCode.ResetDevice, RequestCode.GetQueueNum })
            {
                driver.Client.Send((uint)request, [], true);
            }

            driver.Client.Send(
                (uint)RequestCode.SetMemTable,
                FrontendClient.MemTable(driver.Ram.Regions),
                true,
                FrontendClient.FilesOf(driver.Ram));
            driver.Client.Send((uint)RequestCode.GetVringBase, FrontendClient.VringState(0, 0), false);
        }
    });

    [SkippableFact]
    public Task A_second_front_end_waits_until_the_first_has_gone() => backend.SurvivesAsync(() =>
    {
        VirtioNetDriver first = backend.Connect(new VirtioNetOptions { Pairs = 2, QueueSize = 64 });
        using FrontendClient second = backend.ConnectClient();
        using (first)
        {
            GoodGuest.ExchangeFrames(backend, first);
            second.Send((uint)RequestCode.GetFeatures, []);
            second.Timeout = Silence;
            Assert.Throws<FrontendException>(() => second.Receive());
            GoodGuest.ExchangeFrames(backend, first);
        }

        second.Timeout = HostileBackend.Patience;
        using FrontendReply reply = second.Receive();
        Assert.NotEqual(0UL, reply.Number);
    });

    [SkippableFact]
    public Task Many_front_ends_at_once_are_served_one_after_the_other() => backend.SurvivesAsync(() =>
    {
        FrontendClient[] waiting = [.. Enumerable.Range(0, 16).Select(_ => backend.ConnectClient())];
        foreach (FrontendClient client in waiting)
        {
            using (client)
            {
                client.Timeout = HostileBackend.Patience;
                Assert.NotEqual(0UL, (ulong)client.GetFeatures());
            }
        }
    });

    private static byte[] Message(RequestCode request, byte[] payload, bool needReply = false)
    {
        byte[] message = new byte[12 + payload.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)request);
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(4), needReply ? 9u : 1u);
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(8), (uint)payload.Length);
        payload.CopyTo(message, 12);
        return message;
    }
}
