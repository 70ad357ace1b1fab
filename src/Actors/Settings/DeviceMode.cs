namespace Ringmaster.Actors.Settings;

/// <summary>Who listens on a device's socket.</summary>
public enum DeviceMode
{
    /// <summary>Ringmaster listens, front-ends connect.</summary>
    Server,

    /// <summary>The front-end listens, Ringmaster connects to it.</summary>
    Client,
}
