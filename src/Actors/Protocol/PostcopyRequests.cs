using System.Collections.Immutable;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// Requests of post-copy migration: the guest runs here before its memory has come, and pages that are missing are asked for by a
/// userfaultfd. ADVISE opens that, LISTEN begins; each region that comes then is answered with the address of its mapping, which
/// the front-end takes note of and acknowledges, and only then rings may touch it. END: everything has come.
/// </summary>
/// <remarks>
/// QEMU (to 10) says ADVISE once for each queue pair. With more than one of them it cannot do it, though: it names its memory for
/// the first pair, and waits for ever for the answer for the second, with the guest in its arms. So the second ADVISE is refused:
/// then nothing has been lost yet, and the guest goes on where it was.
/// </remarks>
internal static class PostcopyRequests
{
    internal static Outcome Advise(SessionState state, VhostUserMessage message) => state.Postcopy != PostcopyPhase.None
        ? Outcome.Refused("it was said before; QEMU can do post-copy with one queue pair alone (queues=1)")
        : Outcome.Answered(state with { Postcopy = PostcopyPhase.Advised }, Reply.FaultFile) with
        {
            Effects = [new OpenFaults()],
        };

    internal static Outcome Listen(SessionState state, VhostUserMessage message) => state.Postcopy switch
    {
        PostcopyPhase.None => Outcome.Refused("it was not announced by POSTCOPY_ADVISE"),
        PostcopyPhase.Advised => Outcome.Answered(state with { Postcopy = PostcopyPhase.Listening }, 0),
        _ => Outcome.Answered(state, 0),
    };

    /// <summary>Also where it never began.</summary>
    internal static Outcome End(SessionState state, VhostUserMessage message) =>
        Outcome.Answered(state with { Postcopy = PostcopyPhase.None }, 0) with { Effects = [new CloseFaults()] };

    /// <summary>
    /// True for the acknowledgement of the mapped addresses: the number of the request that was answered with them, and a u64 in
    /// the place of regions.
    /// </summary>
    internal static bool IsAcknowledgement(SessionState state, VhostUserMessage message) =>
        state.IsPostcopy
        && !message.IsReply
        && message.Code is RequestCode.SetMemTable or RequestCode.AddMemReg or RequestCode.RemMemReg
        && message.Payload.Length == U64Payload.SizeInBytes
        && message.FdCount == 0;

    internal static Outcome Acknowledge(SessionState state, VhostUserMessage message)
    {
        ulong problem = DeviceRequests.ReadU64(message);
        return problem == 0
            ? Outcome.Done(state with { Postcopy = PostcopyPhase.Listening })
            : Outcome.Refused($"the front-end cannot use the mapped addresses: {problem}");
    }

    /// <summary>What memory requests lead to while pages are on their way: the addresses go back, and rings wait.</summary>
    /// <param name="done">What the request leads to.</param>
    /// <param name="regions">The regions that it brings.</param>
    /// <param name="single">The answer has the form of ADD_MEM_REG.</param>
    internal static Outcome WithBases(Outcome done, ImmutableArray<MemoryRegionLayout> regions, bool single) =>
        done.Next is { IsPostcopy: true } next
            ? done with
            {
                Next = next with { Postcopy = done.Effects.IsEmpty ? next.Postcopy : PostcopyPhase.Mapping },
                Answer = new Reply.MappedRegions(regions, single),
            }
            : done;
}
