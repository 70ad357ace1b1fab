using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>A Linux guest that has to cut its streams itself, and a back-end that puts the segments together again.</summary>
public sealed class MergeSpec : ServedGuest
{
    private const int Port = 4711;
    private const int Bytes = 4_000_000;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    internal override QemuOptions Card => new()
    {
        Queues = 1,
        DeviceProperties = ["host_tso4=off", "host_tso6=off", "host_ecn=off", "host_ufo=off"],
    };

    internal override IReadOnlyList<string> Keys => ["worker.merge=on"];

    [SkippableFact]
    public async Task A_stream_arrives_whole_and_some_of_it_in_larger_frames_than_the_guest_sent()
    {
        Backends.SkipForDpdk("it merges nothing");
        QemuGuest guest = await GuestAsync();
        foreach (string address in new[] { HostAddress, HostAddress6 })
        {
            await SendAsync(guest, address);
        }
    }

    private async Task SendAsync(QemuGuest guest, string address)
    {
        using TcpListener listener = Backend.Namespace.Inside(() =>
        {
            var made = new TcpListener(IPAddress.Parse(address), Port);
            made.Start();
            return made;
        });
        using PacketSocket host = PacketSocket.Open(Backend.Namespace, Backend.Tap);

        Task<string> received = HashAsync(listener);
        string sent = await guest.MustRunAsync(
            $"head -c {Bytes} /dev/urandom > /tmp/data; sha256sum < /tmp/data; nc {address} {Port} < /tmp/data");

        Assert.Contains(await received.WaitAsync(Patience), sent, StringComparison.Ordinal);
        int longest = 0;
        while (host.Receive(TimeSpan.Zero) is { } frame)
        {
            longest = Math.Max(longest, frame.Length);
        }

        Assert.True(longest > 2 * Mtu, $"the longest frame from the guest to {address} has {longest} bytes");
    }

    private static async Task<string> HashAsync(TcpListener listener)
    {
        using TcpClient guest = await listener.AcceptTcpClientAsync();
        return Convert.ToHexStringLower(await SHA256.HashDataAsync(guest.GetStream()));
    }
}
