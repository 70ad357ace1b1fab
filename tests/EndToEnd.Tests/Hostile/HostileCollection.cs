using Ringmaster.Native.Worker;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>All hostile inputs go to one process, so that it has to outlive every one of them.</summary>
[CollectionDefinition(Name)]
public sealed class HostileCollection : ICollectionFixture<HostileBackend>
{
    /// <summary>What the classes of the collection name.</summary>
    public const string Name = "hostile inputs to one process";
}

/// <summary>Which of the two ring formats.</summary>
public enum RingFormat
{
    /// <summary>Virtio 1.3 section 2.7.</summary>
    Split,

    /// <summary>Virtio 1.3 section 2.8.</summary>
    Packed,
}

/// <summary>The rings that a misbehaving guest tries its luck on.</summary>
public static class HostileRings
{
    /// <summary>Both directions in both formats; packed ones are skipped while the back-end does not offer them.</summary>
    public static TheoryData<RingSide, RingFormat> All => new()
    {
        { RingSide.Tx, RingFormat.Split },
        { RingSide.Rx, RingFormat.Split },
        { RingSide.Tx, RingFormat.Packed },
        { RingSide.Rx, RingFormat.Packed },
    };

    /// <summary>Both directions, for what exists in split rings alone.</summary>
    public static TheoryData<RingSide> Sides => [RingSide.Tx, RingSide.Rx];
}
