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
    private const int Iterations = 150;

    [Theory]
    [InlineData(RingFormat.Split, false)]
    [InlineData(RingFormat.Split, true)]
    [InlineData(RingFormat.Packed, false)]
    [InlineData(RingFormat.Packed, true)]
    public void A_ring_behaves_like_two_queues(RingFormat format, bool receive)
    {
        Gen<ModelStep> steps = Gen.Select(
            Gen.Enum<ModelAction>(), Gen.Int[0, 20], Gen.UInt, (action, count, seed) => new ModelStep(action, count, seed));
        Gen<ModelCase> cases = Gen.Select(
            format == RingFormat.Split ? Gen.Int[0, 4].Select(bits => 1 << bits) : Gen.Int[1, 20],
            Gen.Bool.Select(on => on ? VirtioFeatures.EventIdx : 0),
            Gen.Bool.Select(on => on ? VirtioFeatures.InOrder : 0),
            Gen.UInt,
            steps.Array[20, 300],
            (size, eventIndex, inOrder, seed, taken) =>
                new ModelCase(size, RingBench.AllFeatures | eventIndex | inOrder, seed, taken));

        RepeatableCheck.Run(cases, Iterations, ring => new RingModel(format, receive, ring).Run());
    }
}

/// <summary>What one side of a ring does next in a <see cref="RingModel"/>.</summary>
internal enum ModelAction
{
    DriverAdds,
    DeviceMovesBatch,
    DriverCollects,
    DeviceRestarts,
    DeviceWantsKicks,
    DeviceRefusesKicks,
    DriverWantsCalls,
    DriverRefusesCalls,
}

internal sealed record ModelStep(ModelAction Action, int Count, uint Seed);

internal sealed record ModelCase(int Size, VirtioFeatures Features, uint Seed, ModelStep[] Steps);
