using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Worker;

/// <summary>One frame to write to the TAP, or room for one to read from it, and how that went.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FrameIo
{
    /// <summary>The result of a frame that the engine did not come to.</summary>
    internal const int NotTried = int.MinValue;

    /// <summary>The result of a frame for which the TAP was empty, or full.</summary>
    internal const int WouldBlock = -Errno.EAGAIN;

    internal IoVec* Vectors;

    internal int Count;

    /// <summary>
    /// Reading only: the bytes that fit into the guest's buffers; what comes beyond went into the spill buffer, and the
    /// frame needs the buffers of the frames after it, so reading stops there where the engine can stop.
    /// </summary>
    internal int Limit;

    /// <summary>Bytes moved, virtio header included; or a negated errno; or <see cref="NotTried"/>.</summary>
    internal int Result;
}
