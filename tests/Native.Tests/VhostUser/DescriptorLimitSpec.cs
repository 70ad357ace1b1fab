using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Support;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Tests.VhostUser;

/// <summary>What happens when this process may open no more files: the kernel then drops descriptors that a peer sent.</summary>
[Collection(Alone.Name)]
public sealed unsafe partial class DescriptorLimitSpec
{
    private const int RLIMIT_NOFILE = 7;

    [Fact]
    public void Descriptors_that_find_no_room_end_the_connection_and_the_others_are_closed()
    {
        (OwnedFd read, OwnedFd write) = Pipe.Create();
        (OwnedFd ours, OwnedFd theirs) = UnixSocket.Pair();
        using (read)
        using (write)
        using (ours)
        using (theirs)
        {
            int before = OpenFds.PointingTo(read);
            byte[] bytes = ConnectionFixture.Bytes(5, new byte[8]);
            int[] sent = [.. Enumerable.Repeat(read.Number, 8)];
            Assert.True(FdPassing.Send(theirs.Number, bytes, sent).Ok);

            using var reader = new MessageReader();
            ConnectionEvent? outcome = WithRoomFor(3, () => reader.Read(ours.Number));

            Assert.Contains("MSG_CTRUNC", Assert.IsType<ConnectionClosed>(outcome).Reason);
            Assert.Equal(before, OpenFds.PointingTo(read));
        }
    }

    [Fact]
    public void A_connection_that_finds_no_room_waits_and_is_taken_later()
    {
        string folder = Directory.CreateTempSubdirectory("rm-").FullName;
        try
        {
            using var listener = UnixListener.Bind(Path.Combine(folder, "s"));
            using OwnedFd peer = UnixSocket.Connect(Path.Combine(folder, "s"));
            LinuxException? refusal = WithRoomFor(0, () =>
            {
                try
                {
                    listener.TryAccept()?.Dispose();
                    return null;
                }
                catch (LinuxException e)
                {
                    return e;
                }
            });
            Assert.Equal(Errno.EMFILE, refusal?.Error);
            using OwnedFd? served = listener.TryAccept();
            Assert.NotNull(served);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Runs a function while only so many more descriptors can be opened.</summary>
    private static T WithRoomFor<T>(int count, Func<T> inside)
    {
        // Free numbers lie between those in use: the limit goes right behind the last of the free ones that are allowed.
        var fillers = new List<OwnedFd>();
        Limit old = default;
        Assert.Equal(0, getrlimit(RLIMIT_NOFILE, &old));
        try
        {
            fillers.AddRange(Enumerable.Range(0, count + 64).Select(_ => TestFile.Open("/dev/null")));
            int[] free = [.. fillers.TakeLast(count + 1).Select(fd => fd.Number).Order()];
            fillers.TakeLast(count + 1).ToList().ForEach(fd => fd.Dispose());
            var low = old with { Soft = (ulong)free[count] };
            Assert.Equal(0, setrlimit(RLIMIT_NOFILE, &low));
            return inside();
        }
        finally
        {
            Assert.Equal(0, setrlimit(RLIMIT_NOFILE, &old));
            fillers.ForEach(fd => fd.Dispose());
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private record struct Limit(ulong Soft, ulong Hard);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int getrlimit(int resource, Limit* limit);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setrlimit(int resource, Limit* limit);
}
