using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests.Matrix;

/// <summary>The card of two pairs that serves all cells, one after the other. Its MTU lets the longest plain frame by.</summary>
public sealed class MatrixCard : BackendFixture
{
    internal const int Mtu = MatrixFrame.LargestPlain - 14;

    private Task? _start;

    /// <summary>The TAP's end; the back-end is started on first use.</summary>
    internal async Task<PacketSocket> HostAsync()
    {
        Backends.SkipForDpdk("its rings are not in question here");
        await (_start ??= StartAsync(new BackendOptions { QueuePairs = 2, Mtu = Mtu }));
        return OpenHost(headers: true);
    }
}
