using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;
using System.Text;

namespace Ringmaster.Native.Linux;

/// <summary>
/// Asks the kernel about network interfaces and changes them. It belongs to the network namespace in which it was
/// made, whatever thread uses it later; one thread at a time.
/// </summary>
internal sealed unsafe partial class Rtnetlink : IDisposable
{
    private const int AF_INET = 2;
    private const int AF_INET6 = 10;
    private const int AF_NETLINK = 16;
    private const int SOCK_RAW = 3;
    private const int SOCK_CLOEXEC = 0x80000;
    private const int SOL_NETLINK = 270;
    private const int NETLINK_CAP_ACK = 10;
    private const int NETLINK_EXT_ACK = 11;
    private const int MSG_TRUNC = 0x20;

    private const ushort NLM_F_REQUEST = 0x1;
    private const ushort NLM_F_ACK = 0x4;
    private const ushort NLM_F_REPLACE = 0x100;
    private const ushort NLM_F_EXCL = 0x200;
    private const ushort NLM_F_CREATE = 0x400;
    private const ushort NLMSG_ERROR = 2;
    private const ushort NLMSGERR_ATTR_MSG = 1;

    private const ushort RTM_NEWLINK = 16;
    private const ushort RTM_GETLINK = 18;
    private const ushort RTM_NEWADDR = 20;
    private const ushort RTM_DELADDR = 21;
    private const ushort RTM_NEWQDISC = 36;
    private const ushort IFLA_ADDRESS = 1;
    private const ushort IFLA_IFNAME = 3;
    private const ushort IFLA_MTU = 4;
    private const ushort IFLA_MASTER = 10;
    private const ushort IFA_ADDRESS = 1;
    private const ushort IFA_LOCAL = 2;
    private const ushort TCA_KIND = 1;
    private const uint TC_H_ROOT = uint.MaxValue;
    private const byte IFA_F_NODAD = 0x02;
    private const uint IFF_UP = 0x1;

    private const int AnswerSize = 32 * 1024;

    private readonly OwnedFd _socket;
    private uint _sequence;

    /// <summary>Opens a netlink socket in the calling thread's network namespace.</summary>
    /// <exception cref="LinuxException">No descriptor is left.</exception>
    internal Rtnetlink()
    {
        _socket = new OwnedFd((int)Sys.Result(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0)).OrThrow("socket(AF_NETLINK)"));

        // Text beside the errno, and no copy of the request in the answer. A kernel that knows neither works as well.
        int on = 1;
        setsockopt(_socket.Number, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(int));
        setsockopt(_socket.Number, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(int));
    }

    /// <summary>Looks an interface up; null when there is none of that name.</summary>
    internal LinkInfo? Find(string name)
    {
        var request = new NetlinkMessage(RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK, LinkBody(0, 0, 0));
        Answer answer = Exchange(request.Add(IFLA_IFNAME, name));
        return answer.Error == Errno.ENODEV ? null : LinkInfo.Read(answer.Checked($"rtnetlink(look {name} up)"));
    }

    /// <summary>Looks an interface up, whatever its name is by now; null when it has gone.</summary>
    internal LinkInfo? Find(int index)
    {
        Answer answer = Exchange(new NetlinkMessage(RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK, LinkBody(index, 0, 0)));
        return answer.Error == Errno.ENODEV ? null : LinkInfo.Read(answer.Checked($"rtnetlink(look interface {index} up)"));
    }

    /// <summary>Sets the hardware address.</summary>
    internal void SetAddress(LinkInfo link, ReadOnlySpan<byte> address) =>
        Exchange(ChangeOf(link).Add(IFLA_ADDRESS, address))
            .Checked($"rtnetlink(set {link.Name}'s address to {Convert.ToHexString(address)})");

    /// <summary>Sets the MTU.</summary>
    internal void SetMtu(LinkInfo link, int mtu) =>
        Exchange(ChangeOf(link).Add(IFLA_MTU, (uint)mtu)).Checked($"rtnetlink(set {link.Name}'s MTU to {mtu})");

    /// <summary>Makes the interface a port of a bridge.</summary>
    /// <param name="link">The interface.</param>
    /// <param name="bridge">The bridge's index; 0 = leave the one that it is in.</param>
    internal void SetMaster(LinkInfo link, int bridge) =>
        Exchange(ChangeOf(link).Add(IFLA_MASTER, (uint)bridge)).Checked($"rtnetlink(let {link.Name} join interface {bridge})");

    /// <summary>Sets the interface up or down.</summary>
    internal void SetUp(LinkInfo link, bool up)
    {
        byte[] body = LinkBody(link.Index, up ? IFF_UP : 0, IFF_UP);
        Exchange(new NetlinkMessage(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, body))
            .Checked($"rtnetlink(set {link.Name} {(up ? "up" : "down")})");
    }

    /// <summary>Lets frames pass to the interface without a queueing discipline, as on a kernel that knows none.</summary>
    internal void SetQueueless(LinkInfo link)
    {
        // C's struct tcmsg: family u8, padding, index i32 at 4, handle u32, parent u32, info u32.
        byte[] body = new byte[20];
        BinaryPrimitives.WriteInt32LittleEndian(body.AsSpan(4), link.Index);
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(12), TC_H_ROOT);
        ushort flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        Answer answer = Exchange(new NetlinkMessage(RTM_NEWQDISC, flags, body).Add(TCA_KIND, "noqueue"));
        if (answer.Error != Errno.EOPNOTSUPP)
        {
            answer.Checked($"rtnetlink(set {link.Name}'s queueing discipline to noqueue)");
        }
    }

    /// <summary>Adds an address; false when the interface has it already.</summary>
    /// <remarks>
    /// IPv6 without duplicate address detection: the other end of the cable is one guest, and the address is of use
    /// at once.
    /// </remarks>
    internal bool AddAddress(LinkInfo link, IPAddress address, int prefixLength)
    {
        Answer answer = Exchange(AddressMessage(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, link, address, prefixLength));
        if (answer.Error == Errno.EEXIST)
        {
            return false;
        }

        answer.Checked($"rtnetlink(add {address}/{prefixLength} to {link.Name})");
        return true;
    }

    /// <summary>Removes an address.</summary>
    internal void RemoveAddress(LinkInfo link, IPAddress address, int prefixLength) =>
        Exchange(AddressMessage(RTM_DELADDR, 0, link, address, prefixLength))
            .Checked($"rtnetlink(remove {address}/{prefixLength} from {link.Name})");

    public void Dispose() => _socket.Dispose();

    private static NetlinkMessage ChangeOf(LinkInfo link) =>
        new(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, LinkBody(link.Index, 0, 0));

    private static byte[] LinkBody(int index, uint flags, uint change)
    {
        byte[] body = new byte[LinkInfo.BodySize];
        BinaryPrimitives.WriteInt32LittleEndian(body.AsSpan(4), index);
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(8), flags);
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(12), change);
        return body;
    }

    /// <summary>C's <c>struct ifaddrmsg</c>: family u8, prefix length u8, flags u8, scope u8, index u32.</summary>
    private static NetlinkMessage AddressMessage(ushort type, ushort flags, LinkInfo link, IPAddress address, int prefixLength)
    {
        byte[] bytes = address.GetAddressBytes();
        bool v6 = bytes.Length == 16;
        byte[] body = new byte[8];
        body[0] = (byte)(v6 ? AF_INET6 : AF_INET);
        body[1] = (byte)prefixLength;
        body[2] = v6 ? IFA_F_NODAD : (byte)0;
        BinaryPrimitives.WriteInt32LittleEndian(body.AsSpan(4), link.Index);
        return new NetlinkMessage(type, (ushort)(NLM_F_REQUEST | NLM_F_ACK | flags), body)
            .Add(IFA_LOCAL, bytes)
            .Add(IFA_ADDRESS, bytes);
    }

    /// <summary>Sends a request and reads up to its acknowledgement. The kernel has answered when the send returns.</summary>
    private Answer Exchange(NetlinkMessage request)
    {
        uint sequence = ++_sequence;
        using FdLease lease = _socket.Lease();
        fixed (byte* bytes = request.ToBytes(sequence))
        {
            // The length stands first in the message.
            Sys.Write(lease.Number, bytes, *(uint*)bytes).OrThrow("write(AF_NETLINK)");
        }

        byte[] buffer = new byte[AnswerSize];
        ReadOnlyMemory<byte> body = default;
        while (true)
        {
            ReadOnlyMemory<byte> rest = buffer.AsMemory(0, Receive(lease.Number, buffer));
            while (rest.Length >= NetlinkMessage.HeaderSize)
            {
                int length = BinaryPrimitives.ReadInt32LittleEndian(rest.Span);
                ushort type = BinaryPrimitives.ReadUInt16LittleEndian(rest.Span[4..]);
                bool ours = BinaryPrimitives.ReadUInt32LittleEndian(rest.Span[8..]) == sequence;
                ReadOnlyMemory<byte> content = rest[NetlinkMessage.HeaderSize..length];
                if (ours && type == NLMSG_ERROR)
                {
                    return Answer.Read(content, body);
                }

                body = ours ? content.ToArray() : body;
                rest = rest[Math.Min(NetlinkMessage.Align(length), rest.Length)..];
            }
        }
    }

    private static int Receive(int fd, byte[] buffer)
    {
        fixed (byte* bytes = buffer)
        {
            IoResult result;
            do
            {
                result = Sys.Result(recv(fd, bytes, (nuint)buffer.Length, MSG_TRUNC));
            }
            while (result.Error == Errno.EINTR);
            long length = result.OrThrow("recv(AF_NETLINK)");
            return length <= buffer.Length ? (int)length : throw new LinuxException("recv(AF_NETLINK)", Errno.EMSGSIZE);
        }
    }

    /// <summary>What came: an errno with the kernel's own words, or the body of the message asked for.</summary>
    private readonly record struct Answer(int Error, string? Text, ReadOnlyMemory<byte> Body)
    {
        private const int ErrorSize = 4;

        internal static Answer Read(ReadOnlyMemory<byte> acknowledgement, ReadOnlyMemory<byte> body)
        {
            int error = -BinaryPrimitives.ReadInt32LittleEndian(acknowledgement.Span);

            // With NETLINK_CAP_ACK only the header of the request is repeated before the attributes.
            int skip = Math.Min(ErrorSize + NetlinkMessage.HeaderSize, acknowledgement.Length);
            Dictionary<ushort, ReadOnlyMemory<byte>> attributes = NetlinkMessage.Attributes(acknowledgement[skip..]);
            string? text = error != 0 && attributes.TryGetValue(NLMSGERR_ATTR_MSG, out ReadOnlyMemory<byte> words)
                ? Encoding.UTF8.GetString(words.Span).TrimEnd('\0')
                : null;
            return new Answer(error, text, body);
        }

        internal ReadOnlyMemory<byte> Checked(string operation)
        {
            string? hint = Text ?? (Error == Errno.EPERM ? Capability.Hint : null);
            return Error == 0 ? Body : throw new LinuxException(operation, Error, hint);
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socket(int domain, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setsockopt(int fd, int level, int option, void* value, uint length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint recv(int fd, void* buffer, nuint length, int flags);
}
