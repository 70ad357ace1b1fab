namespace Ringmaster.Native.Tap;

/// <summary>A TAP interface and its queues.</summary>
public sealed class TapInterface
{
}
