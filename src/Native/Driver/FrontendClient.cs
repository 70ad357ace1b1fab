using System.Buffers.Binary;
using System.Diagnostics;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Driver;

/// <summary>
/// The front-end of a vhost-user connection: sends requests and waits for the replies. It blocks (up to
/// <see cref="Timeout"/>), so it is for the guest's half alone. One thread at a time, but for <see cref="Ask"/>,
/// <see cref="TryTell"/> and <see cref="SetLogBase"/>, which take turns.
/// </summary>
/// <remarks>
/// The wire format is written here by hand and shares nothing with the back-end's codec, so that a mistake in one is
/// found by the other.
/// </remarks>
public sealed partial class FrontendClient : IDisposable
{
    private const int HeaderSize = 12;
    private const uint Version = 1;
    private const uint ReplyFlag = 1 << 2;
    private const uint NeedReplyFlag = 1 << 3;
    private readonly OwnedFd _socket;
    private readonly Lock _turn = new();

    /// <summary>Speaks over a connected socket.</summary>
    /// <param name="socket">Owned by this object from here on.</param>
    public FrontendClient(OwnedFd socket)
    {
        using FdLease lease = socket.Lease();
        Sys.SetNonBlocking(lease.Number, on: true).OrThrow("fcntl(O_NONBLOCK)");
        _socket = socket;
    }

    internal OwnedFd Socket => _socket;

    /// <summary>How long to wait for a reply or for room in the socket.</summary>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Connects to a back-end that listens.</summary>
    /// <param name="path">Its socket.</param>
    /// <param name="patience">For how long to try again while nobody listens there; null = one try.</param>
    public static FrontendClient Connect(string path, TimeSpan? patience = null)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                return new FrontendClient(UnixSocket.Connect(path));
            }
            catch (LinuxException refused) when (
                refused.Error is Errno.ENOENT or Errno.ECONNREFUSED or Errno.EAGAIN
                && Stopwatch.GetElapsedTime(start) < (patience ?? TimeSpan.Zero))
            {
                Thread.Sleep(10);
            }
        }
    }

    /// <summary>Sends bytes as they are, with descriptors beside the first of them.</summary>
    public void SendRaw(ReadOnlySpan<byte> bytes, params ReadOnlySpan<OwnedFd> fds)
    {
        var leases = new List<FdLease>(fds.Length);
        try
        {
            foreach (OwnedFd fd in fds)
            {
                leases.Add(fd.Lease());
            }

            Transmit(bytes, [.. leases.Select(lease => lease.Number)]);
        }
        finally
        {
            leases.ForEach(lease => lease.Dispose());
        }
    }

    /// <summary>Sends one message, legal or not.</summary>
    /// <param name="request">Its number.</param>
    /// <param name="payload">Its payload.</param>
    /// <param name="needReply">Whether to ask for an acknowledgement.</param>
    /// <param name="fds">Descriptors to pass; they stay open here.</param>
    public void Send(uint request, ReadOnlySpan<byte> payload, bool needReply = false, params ReadOnlySpan<OwnedFd> fds) =>
        SendMessage(request, needReply ? NeedReplyFlag : 0, payload, fds);

    /// <summary>Answers a request by the back-end.</summary>
    internal void SendReply(uint request, ReadOnlySpan<byte> payload) => SendMessage(request, ReplyFlag, payload);

    /// <summary>Sleeps until there is something to receive, or the end.</summary>
    /// <returns>False when the time is over.</returns>
    internal bool AwaitInput(TimeSpan timeout) => FdWait.For(_socket, FdWait.In, timeout);

    /// <summary>Waits for one message from the back-end.</summary>
    /// <exception cref="FrontendException">The connection was closed, or nothing came in time.</exception>
    public FrontendReply Receive()
    {
        var fds = new List<OwnedFd>();
        try
        {
            byte[] header = ReceiveExactly(HeaderSize, fds);
            uint size = BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(8));
            if (size > 0x10000)
            {
                throw new FrontendException($"The back-end announces a payload of {size} bytes.");
            }

            byte[] payload = ReceiveExactly((int)size, fds);
            return new FrontendReply(
                BinaryPrimitives.ReadUInt32LittleEndian(header),
                BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(4)),
                payload,
                fds);
        }
        catch
        {
            fds.ForEach(fd => fd.Dispose());
            throw;
        }
    }

    /// <summary>Sends a request that has a reply of its own, and waits for the reply.</summary>
    public FrontendReply Ask(RequestCode request, ReadOnlySpan<byte> payload = default, params ReadOnlySpan<OwnedFd> fds)
    {
        FrontendReply reply;
        lock (_turn)
        {
            Send((uint)request, payload, false, fds);
            reply = Receive();
        }

        if (reply.Request != (uint)request || reply.Flags != (Version | ReplyFlag))
        {
            reply.Dispose();
            throw new FrontendException($"{request} was answered by request {reply.Request} with flags 0x{reply.Flags:x}.");
        }

        return reply;
    }

    /// <summary>
    /// Sends a request without a reply of its own. With REPLY_ACK it asks for an acknowledgement and waits for it;
    /// without, it returns at once.
    /// </summary>
    /// <returns>The acknowledgement: 0 = done (also where there is none).</returns>
    public ulong TryTell(RequestCode request, ReadOnlySpan<byte> payload, params ReadOnlySpan<OwnedFd> fds)
    {
        using FrontendReply? reply = Exchange(request, payload, fds);
        if (reply is null)
        {
            return 0;
        }

        return reply.Request == (uint)request && reply.Flags == (Version | ReplyFlag)
            ? reply.Number
            : throw new FrontendException($"{request} was acknowledged by request {reply.Request} with flags 0x{reply.Flags:x}.");
    }

    /// <summary>As <see cref="TryTell"/>, with a refusal as an exception.</summary>
    /// <exception cref="RequestRefusedException">The acknowledgement is not 0.</exception>
    public void Tell(RequestCode request, ReadOnlySpan<byte> payload, params ReadOnlySpan<OwnedFd> fds)
    {
        ulong answer = TryTell(request, payload, fds);
        if (answer != 0)
        {
            throw new RequestRefusedException(request, answer);
        }
    }

    /// <summary>Waits until the back-end closes the connection; what it sends meanwhile is thrown away.</summary>
    /// <returns>False when it is still open after that time.</returns>
    public bool WaitForClose(TimeSpan timeout)
    {
        long start = Stopwatch.GetTimestamp();
        using FdLease lease = _socket.Lease();
        byte[] waste = new byte[256];
        var fds = new List<OwnedFd>();
        while (FdWait.For(_socket, FdWait.In, timeout - Stopwatch.GetElapsedTime(start)))
        {
            IoResult bytes = FdPassing.Receive(lease.Number, waste, fds).Bytes;
            fds.ForEach(fd => fd.Dispose());
            fds.Clear();
            if (bytes.Count == 0 || bytes.Error == Errno.ECONNRESET)
            {
                return true;
            }
        }

        return false;
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private FrontendReply? Exchange(RequestCode request, ReadOnlySpan<byte> payload, ReadOnlySpan<OwnedFd> fds)
    {
        lock (_turn)
        {
            bool acknowledged = ProtocolFeatures.HasFlag(ProtocolFeatures.ReplyAck);
            Send((uint)request, payload, acknowledged, fds);
            return acknowledged ? Receive() : null;
        }
    }

    private void SendMessage(uint request, uint flags, ReadOnlySpan<byte> payload, params ReadOnlySpan<OwnedFd> fds)
    {
        byte[] message = new byte[HeaderSize + payload.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(message, request);
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(4), Version | flags);
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(8), (uint)payload.Length);
        payload.CopyTo(message.AsSpan(HeaderSize));
        SendRaw(message, fds);
    }

    private void Transmit(ReadOnlySpan<byte> bytes, int[] fds)
    {
        using FdLease lease = _socket.Lease();
        while (!bytes.IsEmpty)
        {
            IoResult sent = FdPassing.Send(lease.Number, bytes, fds);
            if (sent.Ok)
            {
                bytes = bytes[(int)sent.Count..];
                fds = [];
            }
            else if (!sent.WouldBlock)
            {
                throw new FrontendException($"The back-end takes no more: {sent}.");
            }
            else if (!FdWait.For(_socket, FdWait.Out, Timeout))
            {
                throw new FrontendException($"The back-end has read nothing for {Timeout.TotalSeconds} s.");
            }
        }
    }

    private byte[] ReceiveExactly(int length, List<OwnedFd> fds)
    {
        using FdLease lease = _socket.Lease();
        byte[] bytes = new byte[length];
        int got = 0;
        while (got < length)
        {
            if (!FdWait.For(_socket, FdWait.In, Timeout))
            {
                throw new FrontendException($"The back-end has not answered for {Timeout.TotalSeconds} s.");
            }

            IoResult result = FdPassing.Receive(lease.Number, bytes.AsSpan(got), fds).Bytes;
            if (result.Count == 0 || (!result.Ok && !result.WouldBlock))
            {
                throw new FrontendException(result.Ok ? "The back-end closed the connection." : $"Connection lost: {result}.");
            }

            got += Math.Max((int)result.Count, 0);
        }

        return bytes;
    }
}
