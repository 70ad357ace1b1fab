using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.Settings;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Fuzz;

/// <summary>
/// Bytes as a front-end could send them, through a socket, the reader of messages and the session. Whatever comes: nothing
/// throws, no fd is without an owner, and no ring's plan breaks a rule.
/// <code>
/// input    record...
/// record   u8 how many fds go along (modulo 4)   header of 12 bytes   as much payload as it says and there is
/// </code>
/// </summary>
internal static partial class MessageTarget
{
    private const int StreamSocket = 1;
    private const int UnixFamily = 1;
    private const int NonBlocking = 0x800;
    private const int MaxQueueSize = 1024;
    private const int MaxMessages = 200;

    private static readonly DeviceProfile Profile = new(
        VhostUserSession.SupportedFeatures,
        VhostUserSession.SupportedProtocolFeatures,
        QueuePairs: 2,
        MaxQueueSize,
        QueueNumUnit.Vrings,
        MacAddress.Parse("02:00:00:00:00:01"),
        Mtu: 1400);

    internal static void Run(byte[] input)
    {
        (OwnedFd front, OwnedFd back) = SocketPair();
        using (front)
        using (back)
        using (var reader = new MessageReader())
        {
            List<OwnedFd> fds = [];
            SessionState state = VhostUserSession.Begin(Profile);
            var records = new InputReader(input);
            for (int i = 0; i < MaxMessages && !records.IsAtEnd; i++)
            {
                Send(records, front.Number);
                ConnectionEvent? read = reader.Read(back.Number);
                if (read is ConnectionClosed)
                {
                    break;
                }

                if (read is MessageReceived received)
                {
                    state = Step(state, received.Message);
                }
            }

            Close(state.Fds);
        }
    }

    private static SessionState Step(SessionState state, VhostUserMessage message)
    {
        SessionStep step = VhostUserSession.Step(state, message);
        if (step.Refusal is not null && !step.Effects.IsEmpty)
        {
            throw new InvalidOperationException($"a refusal with effects: {step.Refusal}");
        }

        foreach (SessionEffect effect in step.Effects)
        {
            effect.Dispose();
        }

        Close(state.FdsNotIn(step.Next));
        SessionRules.Check(step.Next, MaxQueueSize);
        _ = step.Reply.ToPayload(step.Next);
        return step.Next;
    }

    private static void Send(InputReader records, int socket)
    {
        int count = records.Byte() % 4;
        ReadOnlySpan<byte> header = records.Bytes(MessageHeader.SizeInBytes);
        uint size = header.Length == MessageHeader.SizeInBytes ? BinaryPrimitives.ReadUInt32LittleEndian(header[8..]) : 0;
        byte[] message = [.. header, .. records.Bytes((int)Math.Min(size, 2 * MessageHeader.MaxPayload))];
        if (message.Length == 0)
        {
            return;
        }

        EventFd[] fds = [.. Enumerable.Range(0, count).Select(_ => new EventFd())];
        FdPassing.Send(socket, message, [.. fds.Select(fd => fd.Fd.Number)]).OrThrow("sendmsg");
        Array.ForEach(fds, fd => fd.Dispose());
    }

    private static void Close(IEnumerable<OwnedFd> fds)
    {
        foreach (OwnedFd fd in fds.ToArray())
        {
            fd.Dispose();
        }
    }

    private static unsafe (OwnedFd Front, OwnedFd Back) SocketPair()
    {
        int* ends = stackalloc int[2];
        Sys.Result(socketpair(UnixFamily, StreamSocket | NonBlocking, 0, ends)).OrThrow("socketpair");
        return (new OwnedFd(ends[0]), new OwnedFd(ends[1]));
    }

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial int socketpair(int domain, int type, int protocol, int* ends);
}
