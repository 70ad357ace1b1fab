namespace Ringmaster.Native.Memory;

/// <summary>
/// Where a region of guest memory lies, as the front-end describes it in SET_MEM_TABLE and ADD_MEM_REG (vhost-user
/// specification, "Memory region description"). Nothing in it has been checked.
/// </summary>
/// <param name="GuestAddress">Guest-physical address of the first byte.</param>
/// <param name="Size">Bytes.</param>
/// <param name="UserAddress">The front-end's virtual address of the first byte; ring addresses are of this kind.</param>
/// <param name="MmapOffset">Where in the file the region begins, in bytes.</param>
public readonly record struct MemoryRegionLayout(ulong GuestAddress, ulong Size, ulong UserAddress, ulong MmapOffset);
