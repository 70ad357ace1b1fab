using CsCheck;
using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Virtio;

/// <summary>
/// Random legal chains through a ring, against a model that is nothing but two queues: every chain is popped once, in
/// order, with the contents that were put in, and comes back once, in order, with what was written.
/// </summary>
public sealed class RingModelSpec
{
    private const int Iterations = 1500;
    private const int LargeIterations = 16;

    [Theory]
    [InlineData(RingFormat.Split, false)]
    [InlineData(RingFormat.Split, true)]
    [InlineData(RingFormat.Packed, false)]
    [InlineData(RingFormat.Packed, true)]
    public void A_ring_behaves_like_two_queues(RingFormat format, bool receive)
    {
        Gen<int> sizes = format == RingFormat.Split ? Gen.Int[0, 4].Select(bits => 1 << bits) : Gen.Int[1, 20];
        Run(format, receive, sizes, Gen.Int[0, 20], Gen.Int[20, 300], Iterations);
    }

    /// <summary>Up to the largest ring that there is, often full to its last slot; packed ones of any size.</summary>
    [Theory]
    [InlineData(RingFormat.Split, false)]
    [InlineData(RingFormat.Split, true)]
    [InlineData(RingFormat.Packed, false)]
    [InlineData(RingFormat.Packed, true)]
    public void A_large_ring_does_so_too(RingFormat format, bool receive)
    {
        Gen<int> sizes = format == RingFormat.Split
            ? Gen.OneOf(Gen.Int[6, 12], Gen.Const(15)).Select(bits => 1 << bits)
            : Gen.OneOf(Gen.Int[21, 3000], Gen.Int[32_760, 32_768]);
        Run(format, receive, sizes, Gen.OneOf(Gen.Int[0, 300], Gen.Const(32_768)), Gen.Int[20, 60], LargeIterations);
    }

    private static void Run(
        RingFormat format, bool receive, Gen<int> sizes, Gen<int> counts, Gen<int> lengths, int iterations)
    {
        Gen<ModelStep> steps = Gen.Select(
            Gen.Enum<ModelAction>(), counts, Gen.UInt, (action, count, seed) => new ModelStep(action, count, seed));
        Gen<ModelCase> cases = Gen.Select(
            sizes,
            Gen.Bool.Select(on => on ? VirtioFeatures.EventIdx : 0),
            Gen.Bool.Select(on => on ? VirtioFeatures.InOrder : 0),
            Gen.UInt,
            steps.Array[lengths],
            (size, eventIndex, inOrder, seed, taken) =>
                new ModelCase(size, RingBench.AllFeatures | eventIndex | inOrder, seed, taken));

        RepeatableCheck.Run(cases, iterations, ring => new RingModel(format, receive, ring).Run());
    }
}

/// <summary>What one side of a ring does next in a <see cref="RingModel"/>.</summary>
internal enum ModelAction
{
    DriverAdds,
    DeviceMovesBatch,
    DriverCollects,
    DeviceRestarts,
    DeviceReattaches,
    DeviceWantsKicks,
    DeviceRefusesKicks,
    DriverWantsCalls,
    DriverRefusesCalls,
}

internal sealed record ModelStep(ModelAction Action, int Count, uint Seed);

internal sealed record ModelCase(int Size, VirtioFeatures Features, uint Seed, ModelStep[] Steps);
