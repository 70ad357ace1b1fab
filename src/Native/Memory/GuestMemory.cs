namespace Ringmaster.Native.Memory;

/// <summary>An immutable, reference-counted snapshot of guest memory.</summary>
public sealed class GuestMemory
{
}
