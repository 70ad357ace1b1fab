using System.Buffers.Binary;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Driver;

/// <content>Post-copy migration, from the side of the machine that the guest comes to.</content>
public sealed partial class FrontendClient
{
    /// <summary>POSTCOPY_ADVISE.</summary>
    /// <returns>The back-end's userfaultfd; the caller's. Null when the back-end refuses.</returns>
    public OwnedFd? PostcopyAdvise()
    {
        using FrontendReply reply = Ask(RequestCode.PostcopyAdvise);
        return reply.Fds.Count == 1 && reply.Payload.Length == 0 ? reply.Fds[0].Duplicate() : null;
    }

    /// <summary>POSTCOPY_LISTEN.</summary>
    public void PostcopyListen() => AskDone(RequestCode.PostcopyListen);

    /// <summary>POSTCOPY_END.</summary>
    public void PostcopyEnd() => AskDone(RequestCode.PostcopyEnd);

    /// <summary>SET_MEM_TABLE, answered by the addresses where the back-end has mapped each region.</summary>
    public IReadOnlyList<ulong> SetMemTablePostcopy(GuestRam ram)
    {
        using FrontendReply reply = Ask(RequestCode.SetMemTable, MemTable(ram.Regions), FilesOf(ram));
        return reply.Payload.Length == 8 + (32 * ram.Regions.Count)
            ? [.. ram.Regions.Select((_, i) => BinaryPrimitives.ReadUInt64LittleEndian(reply.Payload.AsSpan(8 + (32 * i) + 16)))]
            : throw new FrontendException($"SET_MEM_TABLE was answered with {reply.Payload.Length} bytes.");
    }

    /// <summary>ADD_MEM_REG, answered in the same way.</summary>
    public ulong AddMemRegPostcopy(GuestRam ram, int region)
    {
        using FrontendReply reply = Ask(RequestCode.AddMemReg, SingleRegion(ram.Regions[region]), ram.FileOf(region));
        return reply.Payload.Length == 40
            ? BinaryPrimitives.ReadUInt64LittleEndian(reply.Payload.AsSpan(8 + 16))
            : throw new FrontendException($"ADD_MEM_REG was answered with {reply.Payload.Length} bytes.");
    }

    /// <summary>Tells that the mapped addresses are known and faults will be answered.</summary>
    /// <param name="request">The request that was answered by them.</param>
    public void AcknowledgeBases(RequestCode request) => Send((uint)request, Number(0));

    private void AskDone(RequestCode request)
    {
        Send((uint)request, [], needReply: true);
        using FrontendReply reply = Receive();
        if (reply.Request != (uint)request || reply.Number != 0)
        {
            throw new RequestRefusedException(request, reply.Number);
        }
    }
}
