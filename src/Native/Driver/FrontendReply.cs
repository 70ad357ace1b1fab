using System.Buffers.Binary;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Driver;

/// <summary>A message from the back-end, as it came. Disposing closes the descriptors that nobody took.</summary>
public sealed class FrontendReply : IDisposable
{
    private readonly List<OwnedFd> _fds;

    internal FrontendReply(uint request, uint flags, byte[] payload, List<OwnedFd> fds)
    {
        Request = request;
        Flags = flags;
        Payload = payload;
        _fds = fds;
    }

    /// <summary>The request that it answers, or the back-end's own request.</summary>
    public uint Request { get; }

    /// <summary>Bits 0-1 the version, bit 2 reply, bit 3 a reply is wanted.</summary>
    public uint Flags { get; }

    /// <summary>The payload.</summary>
    public byte[] Payload { get; }

    /// <summary>The descriptors that came along; owned by this object.</summary>
    public IReadOnlyList<OwnedFd> Fds => _fds;

    /// <summary>The payload as a u64.</summary>
    /// <exception cref="FrontendException">It has another size.</exception>
    public ulong Number => Payload.Length == 8
        ? BinaryPrimitives.ReadUInt64LittleEndian(Payload)
        : throw new FrontendException($"The reply to {(RequestCode)Request} has {Payload.Length} bytes instead of 8.");

    /// <inheritdoc/>
    public void Dispose() => _fds.ForEach(fd => fd.Dispose());
}

/// <summary>The back-end closed the connection, sent no answer in time, or answered with something else.</summary>
public class FrontendException(string message) : IOException(message);

/// <summary>The back-end acknowledged a request with a number other than zero.</summary>
public sealed class RequestRefusedException(RequestCode request, ulong answer)
    : FrontendException($"The back-end refused {request} (acknowledged with {answer}).")
{
    /// <summary>What was refused.</summary>
    public RequestCode Request { get; } = request;
}
