using System.Buffers.Binary;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>
/// Messages by chance: half nonsense, half nearly right, with descriptors of all kinds, to fresh connections and to such whose
/// rings run. The seed is in the test's name, so that a failure can be had again.
/// </summary>
[Collection(HostileCollection.Name)]
public sealed class RandomMessageSpec(HostileBackend backend)
{
    private const int Connections = 20;
    private const int MessagesEach = 100;

    private static readonly ulong[] Numbers =
    [
        0, 1, 2, 3, 4, 63, 64, 65, 256, 1024, 4096, 65_535, 65_536, 1UL << 20, 1UL << 32, 0x5500_0000_0000, 0x5500_0000_1000,
        1UL << 63, ulong.MaxValue,
    ];

    [SkippableTheory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public Task Two_thousand_random_messages_leave_the_process_as_it_was(int seed) => backend.SurvivesAsync(() =>
    {
        Random random = new(seed);
        for (int i = 0; i < Connections; i++)
        {
            using VirtioNetDriver? driver = i % 2 == 0 ? null : VirtioNetDriver.Start(
                backend.ConnectClient(), new VirtioNetOptions { QueueSize = 64, TransmitBufferSize = 2048 });
            using FrontendClient client = driver?.Client ?? backend.ConnectClient();
            SendRandom(client, random);
        }
    });

    /// <summary>Sends until it is cut off: some messages are of a kind that ends a connection.</summary>
    private static void SendRandom(FrontendClient client, Random random)
    {
        using GuestRam ram = new(GuestRamOptions.OfSize(1));
        try
        {
            for (int sent = 0; sent < MessagesEach && !client.WaitForClose(TimeSpan.Zero); sent++)
            {
                SendOne(client, random, ram);
            }

            client.WaitForClose(TimeSpan.FromMilliseconds(20));
        }
        catch (FrontendException)
        {
            // The back-end has hung up, which it may.
        }
    }

    private static void SendOne(FrontendClient client, Random random, GuestRam ram)
    {
        uint request = random.Next(10) == 0 ? (uint)random.Next() : (uint)random.Next(1, 46);
        byte[] payload = Payload(random, request, ram);
        uint flags = random.Next(50) == 0 ? (uint)random.Next(16) : random.Next(2) == 0 ? 1u : 9u;
        uint size = random.Next(200) == 0 ? (uint)random.Next() : (uint)payload.Length;
        byte[] message = new byte[12 + payload.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(message, request);
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(4), flags);
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(8), size);
        payload.CopyTo(message, 12);
        List<OwnedFd> fds = [.. Enumerable.Range(0, random.Next(3)).Select(_ => Descriptor(random, ram))];
        client.SendRaw(message, [.. fds]);
        fds.ForEach(fd => fd.Dispose());
    }

    private static byte[] Payload(Random random, uint request, GuestRam ram)
    {
        int size = RequestShape.All.TryGetValue((RequestCode)request, out RequestShape? shape) && random.Next(4) != 0
            ? shape.MinSize
            : random.Next(8) * 8;
        byte[] payload = new byte[size];
        if (random.Next(3) == 0)
        {
            random.NextBytes(payload);
            return payload;
        }

        for (int at = 0; at + 4 <= payload.Length; at += 4)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(
                payload.AsSpan(at), random.Next(2) == 0 ? (uint)random.Next(6) : (uint)Pick(random));
        }

        bool memory = (RequestCode)request is RequestCode.SetMemTable or RequestCode.AddMemReg or RequestCode.RemMemReg;
        return random.Next(3) == 0 && memory ? MemoryPayload((RequestCode)request, ram) : payload;
    }

    private static byte[] MemoryPayload(RequestCode request, GuestRam ram) =>
        request == RequestCode.SetMemTable ? FrontendClient.MemTable(ram.Regions) : FrontendClient.SingleRegion(ram.Regions[0]);

    private static ulong Pick(Random random) => Numbers[random.Next(Numbers.Length)];

    private static OwnedFd Descriptor(Random random, GuestRam ram)
    {
        switch (random.Next(6))
        {
            case 0:
                return RawFds.BlockingEventFd();
            case 1:
                return RawFds.Epoll();
            case 2:
                return RawFds.Open("/dev/null");
            case 3:
                (OwnedFd reader, OwnedFd writer) = RawFds.Pipe();
                writer.Dispose();
                return reader;
            default:
                return ram.FileOf(0).Duplicate();
        }
    }
}
