using System.Threading.Channels;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Tests.Support;

/// <summary>The front-end's end of a real vhost-user socket.</summary>
internal sealed class FrontEnd : IDisposable
{
    internal const ulong GuestBase = 0x1000_0000;
    internal const ulong UserBase = 0x7f00_0000_0000;
    internal const ulong MemorySize = 1 << 20;
    private const int RingSpan = 0x4000;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly Channel<ConnectionEvent> _events = Channel.CreateUnbounded<ConnectionEvent>();
    private readonly VhostUserConnection _connection;
    private readonly ReadinessLoop _loop;
    private readonly List<IDisposable> _owned = [];

    private FrontEnd(OwnedFd socket, ReadinessLoop loop)
    {
        _loop = loop;
        _connection = new VhostUserConnection(socket, loop, e => _events.Writer.TryWrite(e));
        _connection.ReceiveNext();
    }

    internal static FrontEnd Connect(string path, ReadinessLoop loop) => new(UnixSocket.Connect(path), loop);

    internal static FrontEnd Over(OwnedFd socket, ReadinessLoop loop) => new(socket, loop);

    /// <summary>Sends a message that asks for nothing.</summary>
    internal void Send(RequestCode code, byte[]? payload = null, params OwnedFd[] fds) =>
        _connection.SendRequest((uint)code, payload ?? [], fds).OrThrow($"send {code}");

    /// <summary>Sends a request that has a reply of its own.</summary>
    internal Task<byte[]> AskAsync(RequestCode code, byte[]? payload = null, params OwnedFd[] fds)
    {
        Send(code, payload, fds);
        return ReplyAsync(code);
    }

    /// <summary>Sends a request with need_reply and gives the number that comes back; 0 = done.</summary>
    internal async Task<ulong> DoAsync(RequestCode code, byte[]? payload = null, params OwnedFd[] fds)
    {
        _connection.SendRequest((uint)code, payload ?? [], fds, needReply: true).OrThrow($"send {code}");
        return BitConverter.ToUInt64(await ReplyAsync(code));
    }

    /// <summary>Sends a request with need_reply; its reply is not awaited here.</summary>
    internal Task<byte[]> BeginAsync(RequestCode code, byte[]? payload = null, params OwnedFd[] fds)
    {
        _connection.SendRequest((uint)code, payload ?? [], fds, needReply: true).OrThrow($"send {code}");
        return ReplyAsync(code);
    }

    /// <summary>Waits until the back-end has done all that was sent before.</summary>
    internal Task SyncAsync() => AskAsync(RequestCode.GetFeatures);

    internal async Task NegotiateAsync(
        VirtioFeatures features = TestDevices.Features,
        ProtocolFeatures protocolFeatures = TestDevices.ProtocolFeatures)
    {
        Send(RequestCode.SetOwner);
        Send(RequestCode.SetProtocolFeatures, U64((ulong)protocolFeatures));
        Send(RequestCode.SetFeatures, U64((ulong)features));
        await SyncAsync();
    }

    /// <summary>Shares one region of memory, backed by a file.</summary>
    internal async Task<ulong> ShareMemoryAsync(ulong size = MemorySize)
    {
        using OwnedFd file = TempFile((long)size);
        byte[] table = MemTable.ToBytes([new MemoryRegionLayout(GuestBase, size, UserBase, 0)]);
        return await DoAsync(RequestCode.SetMemTable, table, file);
    }

    /// <summary>Says everything about a ring and starts it; enabled where asked for.</summary>
    /// <returns>The kick fd, which the back-end has a duplicate of.</returns>
    internal async Task<EventFd> StartRingAsync(int ring, bool enable = true, uint size = 64, EventFd? error = null)
    {
        ulong start = UserBase + ((ulong)ring * RingSpan);
        var addresses = new VringAddresses((uint)ring, 0, start, start + 0x2000, start + 0x1000, 0);
        Send(RequestCode.SetVringNum, new VringState((uint)ring, size).ToBytes());
        Send(RequestCode.SetVringAddr, addresses.ToBytes());
        Send(RequestCode.SetVringBase, new VringState((uint)ring, 0).ToBytes());
        if (error is not null)
        {
            Send(RequestCode.SetVringErr, new VringFd((byte)ring, false).ToBytes(), error.Fd);
        }

        EventFd call = Own(new EventFd());
        Send(RequestCode.SetVringCall, new VringFd((byte)ring, false).ToBytes(), call.Fd);
        EventFd kick = await KickAsync(ring);
        if (enable)
        {
            await EnableRingAsync(ring, on: true);
        }

        return kick;
    }

    internal Task<ulong> EnableRingAsync(int ring, bool on) =>
        DoAsync(RequestCode.SetVringEnable, new VringState((uint)ring, on ? 1u : 0).ToBytes());

    /// <summary>Starts a ring, or gives it another kick fd.</summary>
    internal async Task<EventFd> KickAsync(int ring)
    {
        EventFd kick = Own(new EventFd());
        await DoAsync(RequestCode.SetVringKick, new VringFd((byte)ring, false).ToBytes(), kick.Fd);
        return kick;
    }

    /// <summary>SET_BACKEND_REQ_FD with one end of a new pair; the other one stays here.</summary>
    internal async Task<BackendEnd> OpenChannelAsync()
    {
        (OwnedFd ours, OwnedFd theirs) = UnixSocket.Pair();
        var end = new BackendEnd(ours, _loop);
        _owned.Add(end);
        using (theirs)
        {
            Send(RequestCode.SetBackendReqFd, null, theirs);
        }

        await SyncAsync();
        return end;
    }

    /// <summary>Negotiates, shares memory and starts both rings of the pairs.</summary>
    internal async Task BringUpAsync(int pairs = 2)
    {
        await NegotiateAsync();
        Assert.Equal(0UL, await ShareMemoryAsync());
        for (int ring = 0; ring < 2 * pairs; ring++)
        {
            await StartRingAsync(ring);
        }
    }

    /// <summary>GET_VRING_BASE.</summary>
    internal async Task<uint> StopRingAsync(int ring)
    {
        byte[] reply = await AskAsync(RequestCode.GetVringBase, new VringState((uint)ring, 0).ToBytes());
        Assert.True(VringState.TryRead(reply, out VringState state));
        return state.Num;
    }

    /// <summary>Waits until the back-end closes the connection.</summary>
    internal async Task ClosedAsync()
    {
        using var limit = new CancellationTokenSource(Patience);
        ConnectionEvent next = await _events.Reader.ReadAsync(limit.Token);
        Assert.IsType<ConnectionClosed>(next);
    }

    internal static byte[] U64(ulong value) => new U64Payload(value).ToBytes();

    internal static OwnedFd TempFile(long size)
    {
        string path = Path.GetTempFileName();
        using Microsoft.Win32.SafeHandles.SafeFileHandle handle = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
        File.Delete(path);
        RandomAccess.SetLength(handle, size);
        using var borrowed = new OwnedFd((int)handle.DangerousGetHandle());
        OwnedFd duplicate = borrowed.Duplicate();
        borrowed.SetHandleAsInvalid();
        return duplicate;
    }

    /// <summary>Closes the main connection alone.</summary>
    internal void Disconnect() => _connection.Dispose();

    public void Dispose()
    {
        Disconnect();
        foreach (IDisposable each in _owned)
        {
            each.Dispose();
        }
    }

    private async Task<byte[]> ReplyAsync(RequestCode code)
    {
        using var limit = new CancellationTokenSource(Patience);
        ConnectionEvent next = await _events.Reader.ReadAsync(limit.Token);
        VhostUserMessage message = Assert.IsType<MessageReceived>(next).Message;
        using (message)
        {
            Assert.True(message.IsReply);
            Assert.Equal(code, message.Code);
            _connection.ReceiveNext();
            return message.Payload.ToArray();
        }
    }

    private EventFd Own(EventFd fd)
    {
        _owned.Add(fd);
        return fd;
    }
}
