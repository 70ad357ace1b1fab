namespace Ringmaster.Native.Memory;

/// <summary>What rings see of the guest. Borrowed: the worker holds a reference to either while it lends them out.</summary>
/// <param name="Memory">The guest's memory.</param>
/// <param name="Log">Where writes to it are marked while the guest migrates, or null.</param>
internal readonly record struct GuestView(GuestMemory Memory, DirtyLog? Log);
