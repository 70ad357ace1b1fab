using System.Runtime.InteropServices;

namespace Ringmaster.Native.Linux;

/// <summary>What one receive gave besides the bytes.</summary>
/// <param name="Bytes">Bytes received (0 = the peer closed), or the error.</param>
/// <param name="ControlTruncated">
/// The kernel dropped descriptors (MSG_CTRUNC): there was no room for them in the buffer or in this process.
/// </param>
internal readonly record struct Received(IoResult Bytes, bool ControlTruncated);

/// <summary>
/// Bytes and file descriptors over a Unix stream socket (SCM_RIGHTS). Never blocks, never raises SIGPIPE.
/// </summary>
/// <remarks>
/// On 64-bit Linux a control message is: length u64 at 0 (header included, padding not), level u32 at 8, type u32 at
/// 12, data from 16; the next one begins at the length rounded up to 8. The ABI is that of the generic Linux
/// architectures, little-endian; Tmds.LibC's CMSG_LEN rounds the wrong number up and is not used.
/// </remarks>
internal static unsafe partial class FdPassing
{
    /// <summary>The most descriptors that one message may carry (the kernel's SCM_MAX_FD).</summary>
    internal const int MaxPerMessage = 253;

    private const int HeaderSize = 16;
    private const int SOL_SOCKET = 1;
    private const int SCM_RIGHTS = 1;
    private const int MSG_CTRUNC = 0x8;
    private const int MSG_DONTWAIT = 0x40;
    private const int MSG_NOSIGNAL = 0x4000;
    private const int MSG_CMSG_CLOEXEC = 0x40000000;

    /// <summary>Bytes that a control message with so many descriptors takes, padding included (CMSG_SPACE).</summary>
    internal static int Space(int fds) => HeaderSize + (((fds * sizeof(int)) + 7) & ~7);

    /// <summary>Receives bytes and descriptors. Every descriptor that came is in <paramref name="fds"/> afterwards.</summary>
    /// <param name="socket">A connected Unix stream socket.</param>
    /// <param name="buffer">Room for the bytes.</param>
    /// <param name="fds">Gets the descriptors appended, close-on-exec.</param>
    internal static Received Receive(int socket, Span<byte> buffer, List<OwnedFd> fds)
    {
        int controlSize = Space(MaxPerMessage);
        byte* control = stackalloc byte[controlSize];
        fixed (byte* bytes = buffer)
        {
            var vector = new IoVec { Base = bytes, Length = (nuint)buffer.Length };
            var message = new MessageBlock
            {
                Vectors = &vector,
                VectorCount = 1,
                Control = control,
                ControlLength = (nuint)controlSize,
            };
            IoResult result = Retry(&recvmsg, socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
            if (result.Ok)
            {
                TakeDescriptors(control, (int)message.ControlLength, fds);
            }

            return new Received(result, result.Ok && (message.Flags & MSG_CTRUNC) != 0);
        }
    }

    /// <summary>Sends bytes and descriptors in one call.</summary>
    /// <returns>Bytes sent, which may be fewer than given; EAGAIN when the socket is full.</returns>
    internal static IoResult Send(int socket, ReadOnlySpan<byte> bytes, ReadOnlySpan<int> fds)
    {
        if (fds.Length > MaxPerMessage)
        {
            return new IoResult(-Errno.EMSGSIZE);
        }

        int controlSize = fds.IsEmpty ? 0 : Space(fds.Length);
        byte* control = stackalloc byte[controlSize];
        if (!fds.IsEmpty)
        {
            new Span<byte>(control, controlSize).Clear();
            *(nuint*)control = (nuint)(HeaderSize + (fds.Length * sizeof(int)));
            *(int*)(control + 8) = SOL_SOCKET;
            *(int*)(control + 12) = SCM_RIGHTS;
            fds.CopyTo(new Span<int>(control + HeaderSize, fds.Length));
        }

        fixed (byte* first = bytes)
        {
            var vector = new IoVec { Base = first, Length = (nuint)bytes.Length };
            var message = new MessageBlock
            {
                Vectors = &vector,
                VectorCount = 1,
                Control = control,
                ControlLength = (nuint)controlSize,
            };
            return Retry(&sendmsg, socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
    }

    private static void TakeDescriptors(byte* control, int length, List<OwnedFd> fds)
    {
        int at = 0;
        while (length - at >= HeaderSize)
        {
            long size = *(long*)(control + at);
            if (size < HeaderSize || size > length - at)
            {
                return;
            }

            if (*(int*)(control + at + 8) == SOL_SOCKET && *(int*)(control + at + 12) == SCM_RIGHTS)
            {
                int count = ((int)size - HeaderSize) / sizeof(int);
                foreach (int number in new ReadOnlySpan<int>(control + at + HeaderSize, count))
                {
                    fds.Add(new OwnedFd(number));
                }
            }

            at += ((int)size + 7) & ~7;
        }
    }

    private static IoResult Retry(delegate*<int, MessageBlock*, int, nint> call, int socket, MessageBlock* message, int flags)
    {
        IoResult result;
        do
        {
            result = Sys.Result(call(socket, message, flags));
        }
        while (result.Error == Errno.EINTR);
        return result;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint sendmsg(int socket, MessageBlock* message, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint recvmsg(int socket, MessageBlock* message, int flags);

    /// <summary>C's <c>struct msghdr</c> on 64-bit: 56 bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct MessageBlock
    {
        internal void* Name;
        internal uint NameLength;
        internal IoVec* Vectors;
        internal nuint VectorCount;
        internal byte* Control;
        internal nuint ControlLength;
        internal int Flags;
    }
}
