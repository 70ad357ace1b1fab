namespace Ringmaster.Actors.Protocol;

/// <summary>The virtio device status, bit for bit as in virtio 1.3 section 2.1.</summary>
[Flags]
public enum DeviceStatus : byte
{
    /// <summary>Reset.</summary>
    None = 0,

    /// <summary>The guest has found the device.</summary>
    Acknowledge = 1,

    /// <summary>The guest has a driver for it.</summary>
    Driver = 2,

    /// <summary>The driver is ready.</summary>
    DriverOk = 4,

    /// <summary>Features are settled; the device takes this bit back when it refuses them.</summary>
    FeaturesOk = 8,

    /// <summary>The device cannot go on without a reset. Set by the device alone.</summary>
    NeedsReset = 64,

    /// <summary>The guest has given up.</summary>
    Failed = 128,
}
