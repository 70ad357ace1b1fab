using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Tap;

public sealed class TunLayoutSpec
{
    [SkippableFact]
    public void Numbers_and_layouts_are_those_of_the_kernels_headers()
    {
        CHeaders.Agree(
            ["sys/ioctl.h", "net/if.h", "linux/if_tun.h"],
            ("TUNSETIFF", TunDevice.TUNSETIFF),
            ("TUNSETPERSIST", TunDevice.TUNSETPERSIST),
            ("TUNSETOFFLOAD", TunDevice.TUNSETOFFLOAD),
            ("TUNSETVNETHDRSZ", TunDevice.TUNSETVNETHDRSZ),
            ("TUNSETQUEUE", TunDevice.TUNSETQUEUE),
            ("IFF_TAP", TunDevice.IFF_TAP),
            ("IFF_NO_PI", TunDevice.IFF_NO_PI),
            ("IFF_VNET_HDR", TunDevice.IFF_VNET_HDR),
            ("IFF_MULTI_QUEUE", TunDevice.IFF_MULTI_QUEUE),
            ("IFF_TUN_EXCL", TunDevice.IFF_TUN_EXCL),
            ("IFF_ATTACH_QUEUE", 0x0200),
            ("IFF_DETACH_QUEUE", 0x0400),
            ("sizeof(struct ifreq)", TunDevice.RequestSize),
            ("offsetof(struct ifreq, ifr_flags)", TunDevice.FlagsOffset),
            ("IFNAMSIZ", TapOptions.MaxNameLength + 1),
            ("TUN_F_CSUM", (long)TapOffloads.Csum),
            ("TUN_F_TSO4", (long)TapOffloads.Tso4),
            ("TUN_F_TSO6", (long)TapOffloads.Tso6),
            ("TUN_F_TSO_ECN", (long)TapOffloads.TsoEcn),
            ("TUN_F_UFO", (long)TapOffloads.Ufo));
    }

    [SkippableFact]
    public void Netlink_numbers_and_layouts_are_those_of_the_kernels_headers()
    {
        CHeaders.Agree(
            ["sys/socket.h", "linux/netlink.h", "linux/rtnetlink.h", "linux/if_link.h", "linux/if_addr.h"],
            ("NLMSG_HDRLEN", NetlinkMessage.HeaderSize),
            ("sizeof(struct ifinfomsg)", LinkInfo.BodySize),
            ("offsetof(struct ifinfomsg, ifi_index)", 4),
            ("offsetof(struct ifinfomsg, ifi_flags)", 8),
            ("offsetof(struct ifinfomsg, ifi_change)", 12),
            ("sizeof(struct ifaddrmsg)", 8),
            ("offsetof(struct ifaddrmsg, ifa_index)", 4),
            ("RTM_NEWLINK", 16),
            ("RTM_GETLINK", 18),
            ("RTM_NEWADDR", 20),
            ("RTM_DELADDR", 21),
            ("IFLA_ADDRESS", 1),
            ("IFLA_IFNAME", 3),
            ("IFLA_MTU", 4),
            ("IFLA_MASTER", 10),
            ("IFLA_LINKINFO", 18),
            ("IFLA_INFO_KIND", 1),
            ("IFLA_INFO_DATA", 2),
            ("IFLA_TUN_TYPE", 3),
            ("IFLA_TUN_PERSIST", 6),
            ("IFLA_TUN_MULTI_QUEUE", 7),
            ("IFLA_TUN_NUM_QUEUES", 8),
            ("IFLA_TUN_NUM_DISABLED_QUEUES", 9),
            ("IFA_ADDRESS", 1),
            ("IFA_LOCAL", 2),
            ("IFA_F_NODAD", 2),
            ("NLMSG_ERROR", 2),
            ("NLM_F_REQUEST", 1),
            ("NLM_F_ACK", 4),
            ("NLM_F_EXCL", 0x200),
            ("NLM_F_CREATE", 0x400),
            ("SOL_NETLINK", 270),
            ("NETLINK_CAP_ACK", 10),
            ("NETLINK_EXT_ACK", 11),
            ("NLMSGERR_ATTR_MSG", 1));
    }
}
