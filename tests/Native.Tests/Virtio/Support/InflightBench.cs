using Ringmaster.Native.Memory;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>
/// A ring with an in-flight region, whose device can be made to die between any two of its stores. Each chain has a length of its
/// own by which it is known: the first has 1 byte, the next 2 and so on.
/// </summary>
internal sealed class InflightBench : IDisposable
{
    private readonly Random _random;
    private uint _added;
    private uint _returned;

    internal InflightBench(RingFormat format, int size, VirtioFeatures features, int seed, ushort? start = null)
    {
        _random = new Random(seed);
        Region = InflightRegion.Create(1, size, format == RingFormat.Packed);
        Ring = new RingBench(format, size, RingBench.AllFeatures | features, start);
        Ring.Memory.Inflight = Region;
        Ring.Restart();
    }

    internal InflightRegion Region { get; }

    internal RingBench Ring { get; }

    /// <summary>The driver adds chains of up to three descriptors while they fit, and shows them.</summary>
    internal void Add(int most)
    {
        for (int i = 0; i < most && Ring.Driver.FreeSlots > 0; i++)
        {
            uint length = ++_added;
            int slots = Math.Min(1 + _random.Next(3), Ring.Driver.FreeSlots);
            var pieces = new Piece[Math.Min(slots, (int)length)];
            for (int piece = 0; piece < pieces.Length; piece++)
            {
                uint part = piece == 0 ? length - (uint)(pieces.Length - 1) : 1;
                pieces[piece] = new Piece(RingBench.Data + (ulong)(piece * 0x1000), part);
            }

            Ring.Driver.Add(pieces);
        }

        Ring.Driver.Publish();
    }

    /// <summary>The device returns a batch of so many chains, and dies after so many stores. False when it died.</summary>
    internal bool TryReturn(int chains, int storesToLive = int.MaxValue)
    {
        int left = storesToLive;
        Region.Stored = () =>
        {
            if (left-- == 0)
            {
                throw new Death();
            }
        };
        try
        {
            Return(chains);
            return true;
        }
        catch (Death)
        {
            return false;
        }
        finally
        {
            Region.Stored = null;
        }
    }

    /// <summary>Another process takes over; it dies after so many stores while it attaches, and yet another takes over.</summary>
    internal void Restart(int storesToLive = int.MaxValue)
    {
        int left = storesToLive;
        Region.Stored = () =>
        {
            if (left-- == 0)
            {
                throw new Death();
            }
        };
        try
        {
            Ring.Restart(position: 0x8000_8000);
        }
        catch (Death)
        {
            Region.Stored = null;
            Ring.Restart(position: 0x8000_8000);
        }
        finally
        {
            Region.Stored = null;
        }
    }

    /// <summary>What came back is what was out longest, each chain once.</summary>
    internal void Collect()
    {
        foreach (Returned chain in Ring.Driver.Collect())
        {
            Assert.Equal(++_returned, (uint)chain.Pieces.Sum(piece => piece.Length));
        }
    }

    /// <summary>The device returns whatever is out, and then all has come back.</summary>
    internal void Drain()
    {
        Collect();
        while (Ring.Driver.OutstandingChains > 0)
        {
            Return(1 + _random.Next(5));
            Collect();
        }

        Assert.Equal(_added, _returned);
        Assert.False(Ring.Device.HasWork);
    }

    public void Dispose()
    {
        Ring.Dispose();
        Region.Release();
    }

    private void Return(int chains)
    {
        Collect();
        List<Chain> popped = [];
        while (popped.Count < chains && Ring.Device.TryPop(false, out Chain chain) == PopStatus.Popped)
        {
            Assert.Equal(_returned + (uint)popped.Count + 1, (uint)chain.Length);
            popped.Add(chain);
        }

        Assert.True(popped.Count == chains || popped.Count == Ring.Driver.OutstandingChains);
        Ring.Device.UseUnwritten([.. popped]);
        Ring.Device.Publish();
        Ring.Device.Space.Truncate(0);
    }

    private sealed class Death : Exception;
}
