using System.Diagnostics;
using Tmds.Linux;
using static Tmds.Linux.LibC;

namespace Ringmaster.Native.Linux;

/// <summary>
/// The pipe or socket of a front-end's through which a device's state goes. Whoever moves it may block, for a limited time, and
/// can be told to stop.
/// </summary>
public static unsafe class StateChannel
{
    private const uint KindMask = 0xF000;
    private const uint PipeKind = 0x1000;
    private const int PieceSize = 16384;

    /// <summary>
    /// Accepts a pipe's end that is open in this direction, or a connected Unix stream socket, and makes it non-blocking. A file
    /// could hold its reader for ever (one of a FUSE file system, say), and other kinds know no end.
    /// </summary>
    /// <returns>Null when it is usable, else the reason why not.</returns>
    public static string? Check(OwnedFd fd, bool writing)
    {
        using FdLease lease = fd.Lease();
        stat found;
        IoResult result = Sys.Result(fstat(lease.Number, &found));
        bool pipe = result.Ok && ((uint)found.st_mode & KindMask) == PipeKind;
        if (!pipe && !UnixSocket.IsConnection(fd))
        {
            return "the fd is neither a pipe nor a connected Unix stream socket";
        }

        if (!Sys.IsOpenFor(lease.Number, writing))
        {
            return writing ? "the pipe cannot be written" : "the pipe cannot be read";
        }

        result = Sys.SetNonBlocking(lease.Number, on: true);
        return result.Ok ? null : $"fcntl(F_SETFL, O_NONBLOCK): {result}";
    }

    /// <summary>Writes everything.</summary>
    /// <exception cref="LinuxException">The reader has gone.</exception>
    /// <exception cref="TimeoutException">The time is over.</exception>
    /// <exception cref="OperationCanceledException">It was told to stop.</exception>
    public static void WriteAll(OwnedFd fd, ReadOnlySpan<byte> bytes, TimeSpan limit, CancellationToken cancellation)
    {
        using var patience = new Patience(fd, FdWait.Out, limit, cancellation);
        while (!bytes.IsEmpty)
        {
            patience.Wait();
            fixed (byte* first = bytes)
            {
                IoResult written = Sys.WriteNow(patience.Number, first, (nuint)bytes.Length);
                if (!written.WouldBlock)
                {
                    bytes = bytes[(int)written.OrThrow("write")..];
                }
            }
        }
    }

    /// <summary>Reads up to the end.</summary>
    /// <exception cref="InvalidDataException">There are more bytes than <paramref name="most"/>.</exception>
    /// <exception cref="LinuxException">It cannot be read.</exception>
    /// <exception cref="TimeoutException">The time is over.</exception>
    /// <exception cref="OperationCanceledException">It was told to stop.</exception>
    public static byte[] ReadToEnd(OwnedFd fd, int most, TimeSpan limit, CancellationToken cancellation)
    {
        using var patience = new Patience(fd, FdWait.In, limit, cancellation);
        using var read = new MemoryStream();
        byte[] piece = new byte[PieceSize];
        while (true)
        {
            patience.Wait();
            fixed (byte* first = piece)
            {
                IoResult got = Sys.ReadNow(patience.Number, first, (nuint)piece.Length);
                if (got.Count == 0)
                {
                    return read.ToArray();
                }

                if (!got.WouldBlock)
                {
                    read.Write(piece, 0, (int)got.OrThrow("read"));
                }
            }

            if (read.Length > most)
            {
                throw new InvalidDataException($"there are more than {most} bytes");
            }
        }
    }

    /// <summary>Waits for a descriptor, for a limited time in all and until it is told to stop.</summary>
    private sealed class Patience : IDisposable
    {
        private readonly OwnedFd _fd;
        private readonly FdLease _lease;
        private readonly short _events;
        private readonly TimeSpan _limit;
        private readonly long _start = Stopwatch.GetTimestamp();
        private readonly EventFd _stop;
        private readonly CancellationToken _cancellation;
        private readonly CancellationTokenRegistration _registration;

        internal Patience(OwnedFd fd, short events, TimeSpan limit, CancellationToken cancellation)
        {
            (_fd, _events, _limit, _cancellation) = (fd, events, limit, cancellation);
            _stop = new EventFd();
            _lease = fd.Lease();
            _registration = cancellation.Register(_stop.Signal);
        }

        internal int Number => _lease.Number;

        internal void Wait()
        {
            bool ready = FdWait.ForEither(_fd, _events, _stop.Fd, _limit - Stopwatch.GetElapsedTime(_start));
            _cancellation.ThrowIfCancellationRequested();
            if (!ready)
            {
                throw new TimeoutException($"the other side took more than {_limit.TotalSeconds} s");
            }
        }

        public void Dispose()
        {
            _registration.Dispose();
            _lease.Dispose();
            _stop.Dispose();
        }
    }
}
