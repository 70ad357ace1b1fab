using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>A good guest of another device in the same process, connected for as long as others misbehave.</summary>
internal sealed class Neighbour : IDisposable
{
    private const string Tap = "rmtap1";
    private const int Frames = 8;

    private readonly PacketSocket _host;
    private readonly VirtioNetDriver _guest;

    /// <summary>Connects to the second device.</summary>
    internal Neighbour(HostileBackend backend)
    {
        _host = PacketSocket.Open(backend.Network, Tap);
        _guest = VirtioNetDriver.Start(
            FrontendClient.Connect($"{backend.Backend.Socket}1", HostileBackend.Patience),
            new VirtioNetOptions { QueueSize = 64, TransmitBufferSize = 2048 });
    }

    /// <summary>Frames pass both ways, over the connection and the rings that there were from the beginning.</summary>
    internal void ExchangeFrames() => FrameExchange.Run(_guest, _host, Frames);

    public void Dispose()
    {
        _guest.Dispose();
        _host.Dispose();
    }
}
