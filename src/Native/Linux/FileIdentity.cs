using Tmds.Linux;
using static Tmds.Linux.LibC;

namespace Ringmaster.Native.Linux;

/// <summary>Which file a path names at this moment: device, inode and kind. Symbolic links are not followed.</summary>
internal readonly record struct FileIdentity(ulong Device, ulong Inode, uint Mode)
{
    private const uint KindMask = 0xF000;
    private const uint SocketKind = 0xC000;

    internal bool IsSocket => (Mode & KindMask) == SocketKind;

    /// <summary>Looks a path up; null when there is nothing.</summary>
    /// <exception cref="LinuxException">The path cannot be looked at.</exception>
    internal static unsafe FileIdentity? Of(string path)
    {
        byte[] name = System.Text.Encoding.UTF8.GetBytes(path + "\0");
        stat found;
        IoResult result;
        fixed (byte* first = name)
        {
            result = Sys.Result(lstat(first, &found));
        }

        if (result.Error == Errno.ENOENT)
        {
            return null;
        }

        result.OrThrow($"lstat({path})");
        return new FileIdentity((ulong)found.st_dev, (ulong)found.st_ino, (uint)found.st_mode);
    }
}
