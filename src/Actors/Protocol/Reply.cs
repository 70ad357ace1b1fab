using System.Collections.Immutable;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Protocol;

/// <summary>What goes back to the front-end once a step is done. The set is closed.</summary>
public abstract record Reply
{
    private protected Reply()
    {
    }

    /// <summary>Nothing goes back.</summary>
    public static Reply None { get; } = new NoReply();

    /// <summary>A u64 of 0: done (REPLY_ACK).</summary>
    public static Reply Ack { get; } = new Status(0);

    /// <summary>A u64 that is not 0: not done (REPLY_ACK).</summary>
    public static Reply Failure { get; } = new Status(1);

    /// <summary>Nothing goes back, and the session ends: the front-end would take any reply for success.</summary>
    public static Reply Hangup { get; } = new NoReply { EndsSession = true };

    /// <summary>No payload, and the userfaultfd.</summary>
    public static Reply FaultFile { get; } = new Value(ReadOnlyMemory<byte>.Empty) { HasFaultFile = true };

    /// <summary>True when the userfaultfd goes along.</summary>
    public bool HasFaultFile { get; private init; }

    /// <summary>True when the session ends with it.</summary>
    public bool EndsSession { get; private init; }

    /// <summary>The payload to send, or null for none.</summary>
    /// <param name="state">The session after the step, with the bases that the workers have reported.</param>
    public abstract ReadOnlyMemory<byte>? ToPayload(SessionState state);

    private sealed record NoReply : Reply
    {
        public override ReadOnlyMemory<byte>? ToPayload(SessionState state) => null;
    }

    private sealed record Status(ulong Code) : Reply
    {
        public override ReadOnlyMemory<byte>? ToPayload(SessionState state) => new U64Payload(Code).ToBytes();
    }

    /// <summary>The request's own reply.</summary>
    /// <param name="Bytes">The payload.</param>
    public sealed record Value(ReadOnlyMemory<byte> Bytes) : Reply
    {
        /// <inheritdoc/>
        public override ReadOnlyMemory<byte>? ToPayload(SessionState state) => Bytes;

        /// <inheritdoc/>
        public bool Equals(Value? other) => other is not null && Bytes.Span.SequenceEqual(other.Bytes.Span);

        /// <inheritdoc/>
        public override int GetHashCode() => Bytes.Length;
    }

    /// <summary>A new in-flight region; its file goes along.</summary>
    /// <param name="Region">What it is like.</param>
    public sealed record InflightFile(InflightPayload Region) : Reply
    {
        /// <inheritdoc/>
        public override ReadOnlyMemory<byte>? ToPayload(SessionState state) => Region.ToBytes();
    }

    /// <summary>The regions, each with the address of its mapping in place of the front-end's: known once it is mapped.</summary>
    /// <param name="Regions">The regions.</param>
    /// <param name="Single">The form of ADD_MEM_REG, with one of them; else that of SET_MEM_TABLE.</param>
    public sealed record MappedRegions(ImmutableArray<MemoryRegionLayout> Regions, bool Single) : Reply
    {
        /// <inheritdoc/>
        public override ReadOnlyMemory<byte>? ToPayload(SessionState state)
        {
            MemoryRegionLayout[] mapped =
                [.. Regions.Select(region => region with { UserAddress = state.MappedAt.GetValueOrDefault(region) })];
            return Single ? new SingleMemoryRegion(mapped[0]).ToBytes() : MemTable.ToBytes(mapped);
        }
    }

    /// <summary>Where a ring stopped: known once its worker has told, or from the state when it did not run.</summary>
    /// <param name="Ring">The ring.</param>
    public sealed record RingBase(int Ring) : Reply
    {
        /// <inheritdoc/>
        public override ReadOnlyMemory<byte>? ToPayload(SessionState state) =>
            new VringState((uint)Ring, state.LastBaseOf(Ring)).ToBytes();
    }
}
