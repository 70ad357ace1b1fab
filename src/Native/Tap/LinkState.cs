namespace Ringmaster.Native.Tap;

/// <summary>What has become of an interface.</summary>
public enum LinkState
{
    /// <summary>Frames pass: it is up and has a carrier.</summary>
    Up,

    /// <summary>They do not.</summary>
    Down,

    /// <summary>It was deleted: its queues will never carry a frame again.</summary>
    Gone,
}
