using System.Buffers.Binary;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Driver;

/// <content>The requests by name, with the payloads of the vhost-user specification.</content>
public sealed partial class FrontendClient
{
    private const ulong NoFd = 1 << 8;

    /// <summary>What was acknowledged by <see cref="SetFeatures"/>.</summary>
    public VirtioFeatures Features { get; private set; }

    /// <summary>What was acknowledged by <see cref="SetProtocolFeatures"/>.</summary>
    public ProtocolFeatures ProtocolFeatures { get; private set; }

    /// <summary>GET_FEATURES. Also a way to wait until the back-end has handled everything sent so far.</summary>
    public VirtioFeatures GetFeatures() => (VirtioFeatures)AskNumber(RequestCode.GetFeatures);

    /// <summary>SET_FEATURES.</summary>
    public void SetFeatures(VirtioFeatures features)
    {
        Tell(RequestCode.SetFeatures, Number((ulong)features));
        Features = features;
    }

    /// <summary>GET_PROTOCOL_FEATURES.</summary>
    public ProtocolFeatures GetProtocolFeatures() => (ProtocolFeatures)AskNumber(RequestCode.GetProtocolFeatures);

    /// <summary>SET_PROTOCOL_FEATURES.</summary>
    public void SetProtocolFeatures(ProtocolFeatures features)
    {
        Tell(RequestCode.SetProtocolFeatures, Number((ulong)features));
        ProtocolFeatures = features;
    }

    /// <summary>SET_OWNER.</summary>
    public void SetOwner() => Tell(RequestCode.SetOwner, []);

    /// <summary>RESET_OWNER.</summary>
    public void ResetOwner() => Tell(RequestCode.ResetOwner, []);

    /// <summary>RESET_DEVICE.</summary>
    public void ResetDevice() => Tell(RequestCode.ResetDevice, []);

    /// <summary>GET_QUEUE_NUM.</summary>
    public ulong GetQueueNum() => AskNumber(RequestCode.GetQueueNum);

    /// <summary>GET_MAX_MEM_SLOTS.</summary>
    public ulong GetMaxMemSlots() => AskNumber(RequestCode.GetMaxMemSlots);

    /// <summary>SET_MEM_TABLE with all regions of a memory (at most 8 by the specification).</summary>
    public void SetMemTable(GuestRam ram) => Tell(RequestCode.SetMemTable, MemTable(ram.Regions), FilesOf(ram));

    /// <summary>ADD_MEM_REG with one region of a memory.</summary>
    public void AddMemReg(GuestRam ram, int region) =>
        Tell(RequestCode.AddMemReg, SingleRegion(ram.Regions[region]), ram.FileOf(region));

    /// <summary>REM_MEM_REG with one region of a memory.</summary>
    public void RemMemReg(GuestRam ram, int region) => Tell(RequestCode.RemMemReg, SingleRegion(ram.Regions[region]));

    /// <summary>SET_LOG_BASE: from the reply on, nothing is written to an earlier log.</summary>
    /// <param name="size">Bytes of the log.</param>
    /// <param name="offset">Where in the file it begins.</param>
    /// <param name="file">Shared memory.</param>
    /// <returns>What the back-end answers; 0 = done.</returns>
    public ulong SetLogBase(ulong size, ulong offset, OwnedFd file)
    {
        Span<byte> payload = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(payload, size);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[8..], offset);
        lock (_turn)
        {
            Send((uint)RequestCode.SetLogBase, payload, needReply: ProtocolFeatures.HasFlag(ProtocolFeatures.ReplyAck), file);
            using FrontendReply reply = Receive();
            return reply.Request == (uint)RequestCode.SetLogBase
                ? reply.Number
                : throw new FrontendException($"SET_LOG_BASE was answered by request {reply.Request}.");
        }
    }

    /// <summary>SET_LOG_FD.</summary>
    public void SetLogFd(OwnedFd fd) => Tell(RequestCode.SetLogFd, [], fd);

    /// <summary>SET_VRING_NUM.</summary>
    public void SetVringNum(int ring, uint size) => Tell(RequestCode.SetVringNum, VringState(ring, size));

    /// <summary>SET_VRING_BASE.</summary>
    public void SetVringBase(int ring, uint index) => Tell(RequestCode.SetVringBase, VringState(ring, index));

    /// <summary>SET_VRING_ADDR, with the front-end's virtual addresses.</summary>
    /// <param name="ring">Ring number.</param>
    /// <param name="addresses">User addresses.</param>
    /// <param name="log">Where to log writes to the used ring, or null.</param>
    public void SetVringAddr(int ring, RingAddresses addresses, ulong? log = null) =>
        Tell(RequestCode.SetVringAddr, VringAddresses(ring, addresses, log));

    /// <summary>GET_VRING_BASE: stops the ring.</summary>
    /// <returns>The index from which it is to go on.</returns>
    public uint GetVringBase(int ring)
    {
        using FrontendReply reply = Ask(RequestCode.GetVringBase, VringState(ring, 0));
        return BinaryPrimitives.ReadUInt32LittleEndian(reply.Payload) == (uint)ring && reply.Payload.Length == 8
            ? BinaryPrimitives.ReadUInt32LittleEndian(reply.Payload.AsSpan(4))
            : throw new FrontendException($"GET_VRING_BASE of ring {ring} was answered for another ring.");
    }

    /// <summary>SET_VRING_KICK; null = the back-end must poll.</summary>
    public void SetVringKick(int ring, OwnedFd? fd) => SetVringFd(RequestCode.SetVringKick, ring, fd);

    /// <summary>SET_VRING_CALL; null = the driver polls.</summary>
    public void SetVringCall(int ring, OwnedFd? fd) => SetVringFd(RequestCode.SetVringCall, ring, fd);

    /// <summary>SET_VRING_ERR.</summary>
    public void SetVringErr(int ring, OwnedFd? fd) => SetVringFd(RequestCode.SetVringErr, ring, fd);

    /// <summary>VRING_KICK: a kick as a message, which starts a ring that stands still.</summary>
    public void KickVring(int ring) => Tell(RequestCode.VringKick, VringState(ring, 0));

    /// <summary>SET_VRING_ENABLE.</summary>
    public void SetVringEnable(int ring, bool on) => Tell(RequestCode.SetVringEnable, VringState(ring, on ? 1u : 0u));

    /// <summary>SET_BACKEND_REQ_FD with one end of a new socket pair.</summary>
    /// <returns>The other end.</returns>
    public BackendInbox OpenBackendChannel()
    {
        (OwnedFd ours, OwnedFd theirs) = UnixSocket.Pair();
        using (theirs)
        {
            try
            {
                Tell(RequestCode.SetBackendReqFd, [], theirs);
                return new BackendInbox(ours);
            }
            catch
            {
                ours.Dispose();
                throw;
            }
        }
    }

    /// <summary>IOTLB_MSG: gives or withdraws a translation.</summary>
    /// <returns>What the back-end answers; 0 = done.</returns>
    public ulong TrySendIotlb(IotlbType type, ulong iova, ulong size, ulong userAddress, IotlbAccess access)
    {
        byte[] payload = new byte[32];
        BinaryPrimitives.WriteUInt64LittleEndian(payload, iova);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(8), size);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(16), userAddress);
        payload[24] = (byte)access;
        payload[25] = (byte)type;
        return TryTell(RequestCode.IotlbMsg, payload);
    }

    /// <summary>SET_MEM_TABLE as a guest behind an IOMMU has it here: see <see cref="DriverIommu"/>.</summary>
    internal void SetMemTableBehindIommu(GuestRam ram) => Tell(
        RequestCode.SetMemTable,
        MemTable([.. ram.Regions.Select(region => region with { GuestAddress = region.GuestAddress + DriverIommu.Distance })]),
        FilesOf(ram));

    /// <summary>NET_SET_MTU.</summary>
    public void SetMtu(ulong mtu) => Tell(RequestCode.NetSetMtu, Number(mtu));

    /// <summary>SEND_RARP.</summary>
    /// <param name="mac">Six bytes.</param>
    public void SendRarp(ReadOnlySpan<byte> mac)
    {
        byte[] payload = new byte[8];
        mac.CopyTo(payload);
        Tell(RequestCode.SendRarp, payload);
    }

    /// <summary>SET_STATUS.</summary>
    public void SetStatus(byte status) => Tell(RequestCode.SetStatus, Number(status));

    /// <summary>GET_STATUS.</summary>
    public byte GetStatus() => (byte)AskNumber(RequestCode.GetStatus);

    /// <summary>GET_CONFIG: reads a part of the configuration space.</summary>
    /// <returns>The bytes, or an empty array when the back-end refuses (it says so with an empty payload or size 0).</returns>
    public byte[] GetConfig(int offset, int size)
    {
        using FrontendReply reply = Ask(RequestCode.GetConfig, Config(offset, 0, new byte[size]));
        return reply.Payload.Length < 12 + size ? [] : reply.Payload[12..(12 + size)];
    }

    /// <summary>SET_CONFIG: writes a part of the configuration space.</summary>
    public void SetConfig(int offset, ReadOnlySpan<byte> bytes) => Tell(RequestCode.SetConfig, Config(offset, 0, bytes));

    /// <summary>A u64 payload.</summary>
    public static byte[] Number(ulong value)
    {
        byte[] payload = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(payload, value);
        return payload;
    }

    /// <summary>The payload of SET_VRING_NUM, SET_VRING_BASE, GET_VRING_BASE and SET_VRING_ENABLE.</summary>
    public static byte[] VringState(int ring, uint value)
    {
        byte[] payload = new byte[8];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, (uint)ring);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(4), value);
        return payload;
    }

    /// <summary>The payload of SET_VRING_ADDR.</summary>
    public static byte[] VringAddresses(int ring, RingAddresses user, ulong? log = null)
    {
        byte[] payload = new byte[40];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, (uint)ring);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(4), log is null ? 0u : 1u);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(8), user.Descriptors);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(16), user.Device);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(24), user.Driver);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(32), log ?? 0);
        return payload;
    }

    /// <summary>The payload of SET_MEM_TABLE.</summary>
    public static byte[] MemTable(IReadOnlyList<MemoryRegionLayout> regions)
    {
        byte[] payload = new byte[8 + (32 * regions.Count)];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, (uint)regions.Count);
        for (int i = 0; i < regions.Count; i++)
        {
            WriteRegion(payload.AsSpan(8 + (32 * i)), regions[i]);
        }

        return payload;
    }

    /// <summary>The payload of ADD_MEM_REG and REM_MEM_REG.</summary>
    public static byte[] SingleRegion(MemoryRegionLayout region)
    {
        byte[] payload = new byte[40];
        WriteRegion(payload.AsSpan(8), region);
        return payload;
    }

    /// <summary>The payload of GET_CONFIG and SET_CONFIG.</summary>
    public static byte[] Config(int offset, uint flags, ReadOnlySpan<byte> bytes)
    {
        byte[] payload = new byte[12 + bytes.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, (uint)offset);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(4), (uint)bytes.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(8), flags);
        bytes.CopyTo(payload.AsSpan(12));
        return payload;
    }

    /// <summary>The files of a memory, one for each region, in order: what goes with SET_MEM_TABLE.</summary>
    public static OwnedFd[] FilesOf(GuestRam ram) => [.. Enumerable.Range(0, ram.Regions.Count).Select(ram.FileOf)];

    private void SetVringFd(RequestCode request, int ring, OwnedFd? fd)
    {
        if (fd is null)
        {
            Tell(request, Number((ulong)ring | NoFd));
        }
        else
        {
            Tell(request, Number((ulong)ring), fd);
        }
    }

    private ulong AskNumber(RequestCode request)
    {
        using FrontendReply reply = Ask(request);
        return reply.Number;
    }

    private static void WriteRegion(Span<byte> at, MemoryRegionLayout region)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(at, region.GuestAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(at[8..], region.Size);
        BinaryPrimitives.WriteUInt64LittleEndian(at[16..], region.UserAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(at[24..], region.MmapOffset);
    }
}
