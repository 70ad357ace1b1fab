using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Linux;

public sealed unsafe partial class FdPassingSpec : IDisposable
{
    private readonly (OwnedFd Read, OwnedFd Write) _pipe = Pipe.Create();
    private readonly OwnedFd _sender;
    private readonly OwnedFd _receiver;

    public FdPassingSpec() => (_sender, _receiver) = UnixSocket.Pair();

    public void Dispose()
    {
        foreach (OwnedFd fd in (OwnedFd[])[_pipe.Read, _pipe.Write, _sender, _receiver])
        {
            fd.Dispose();
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(FdPassing.MaxPerMessage)]
    public void Every_descriptor_arrives_open_and_close_on_exec(int count)
    {
        int before = OpenFds.PointingTo(_pipe.Read);
        Assert.Equal(3, FdPassing.Send(_sender.Number, [1, 2, 3], Fds(count)).Count);

        var fds = new List<OwnedFd>();
        byte[] buffer = new byte[8];
        Received received = FdPassing.Receive(_receiver.Number, buffer, fds);

        Assert.Equal((3L, false), (received.Bytes.Count, received.ControlTruncated));
        Assert.Equal(count, fds.Count);
        Assert.Equal(before + count, OpenFds.PointingTo(_pipe.Read));
        Assert.All(fds, fd => Assert.Contains("flags:\t02", File.ReadAllText($"/proc/self/fdinfo/{fd.Number}")));
        fds.ForEach(fd => fd.Dispose());
        Assert.Equal(before, OpenFds.PointingTo(_pipe.Read));
    }

    [Fact]
    public void More_descriptors_than_the_kernel_takes_are_an_error_and_nothing_is_sent()
    {
        Assert.Equal(Errno.EMSGSIZE, FdPassing.Send(_sender.Number, [1], Fds(FdPassing.MaxPerMessage + 1)).Error);
        Assert.True(FdPassing.Receive(_receiver.Number, new byte[1], []).Bytes.WouldBlock);
    }

    [Fact]
    public void A_closed_descriptor_cannot_be_sent()
    {
        Assert.Equal(Errno.EBADF, FdPassing.Send(_sender.Number, [1], [-1]).Error);
        Assert.Equal(Errno.EBADF, FdPassing.Send(-1, [1], []).Error);
        Assert.Equal(Errno.EBADF, FdPassing.Receive(-1, new byte[1], []).Bytes.Error);
    }

    [Fact]
    public void Credentials_beside_the_descriptors_are_passed_over()
    {
        const int SOL_SOCKET = 1;
        const int SO_PASSCRED = 16;
        int on = 1;
        Assert.Equal(0, setsockopt(_receiver.Number, SOL_SOCKET, SO_PASSCRED, &on, sizeof(int)));
        Assert.True(FdPassing.Send(_sender.Number, [1], Fds(3)).Ok);
        var fds = new List<OwnedFd>();
        Assert.False(FdPassing.Receive(_receiver.Number, new byte[1], fds).ControlTruncated);
        Assert.Equal(3, fds.Count);
        fds.ForEach(fd => fd.Dispose());
    }

    [SkippableFact]
    public void The_layouts_are_those_of_the_C_library()
    {
        CHeaders.Agree(
            ["sys/socket.h", "sys/un.h", "sys/uio.h"],
            ("sizeof(struct msghdr)", sizeof(FdPassing.MessageBlock)),
            ("offsetof(struct msghdr, msg_iov)", (long)Marshal.OffsetOf<FdPassing.MessageBlock>("Vectors")),
            ("offsetof(struct msghdr, msg_iovlen)", (long)Marshal.OffsetOf<FdPassing.MessageBlock>("VectorCount")),
            ("offsetof(struct msghdr, msg_control)", (long)Marshal.OffsetOf<FdPassing.MessageBlock>("Control")),
            ("offsetof(struct msghdr, msg_controllen)", (long)Marshal.OffsetOf<FdPassing.MessageBlock>("ControlLength")),
            ("offsetof(struct msghdr, msg_flags)", (long)Marshal.OffsetOf<FdPassing.MessageBlock>("Flags")),
            ("sizeof(struct iovec)", sizeof(IoVec)),
            ("CMSG_SPACE(1 * sizeof(int))", FdPassing.Space(1)),
            ("CMSG_SPACE(2 * sizeof(int))", FdPassing.Space(2)),
            ("CMSG_SPACE(3 * sizeof(int))", FdPassing.Space(3)),
            ("CMSG_SPACE(253 * sizeof(int))", FdPassing.Space(253)),
            ("CMSG_LEN(3 * sizeof(int))", 16 + 12),
            ("offsetof(struct cmsghdr, cmsg_level)", 8),
            ("offsetof(struct cmsghdr, cmsg_type)", 12),
            ("sizeof(((struct sockaddr_un *)0)->sun_path)", UnixSocket.MaxPathLength + 1),
            ("offsetof(struct sockaddr_un, sun_path)", 2),
            ("MSG_CTRUNC", 0x8),
            ("MSG_DONTWAIT", 0x40),
            ("MSG_NOSIGNAL", 0x4000),
            ("MSG_CMSG_CLOEXEC", 0x40000000));
    }

    private int[] Fds(int count) => [.. Enumerable.Repeat(_pipe.Read.Number, count)];

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setsockopt(int fd, int level, int option, void* value, uint length);
}
