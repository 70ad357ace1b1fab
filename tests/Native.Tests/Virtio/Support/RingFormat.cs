namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>The two formats of a virtqueue.</summary>
public enum RingFormat
{
    Split,
    Packed,
}
