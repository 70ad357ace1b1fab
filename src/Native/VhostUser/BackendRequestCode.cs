namespace Ringmaster.Native.VhostUser;

/// <summary>Requests by the back-end, sent over the socket of SET_BACKEND_REQ_FD ("Back-end message types").</summary>
public enum BackendRequestCode : uint
{
    /// <summary>An IOTLB miss.</summary>
    IotlbMsg = 1,

    /// <summary>The configuration space changed.</summary>
    ConfigChangeMsg = 2,

    /// <summary>A call by message (in-band notifications).</summary>
    VringCall = 4,

    /// <summary>A ring error by message (in-band notifications).</summary>
    VringErr = 5,
}
