using System.Net.NetworkInformation;
using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;

namespace Ringmaster.Native.Tests.Support;

/// <summary>A network namespace with what a test of TAP interfaces needs to make and see in it.</summary>
internal sealed unsafe partial class TapFixture : IDisposable
{
    private const int SIOCBRADDBR = 0x89a0;
    private const int AF_INET = 2;
    private const int SOCK_DGRAM = 2;

    internal TemporaryNetwork Net { get; } = new();

    internal static TapOptions Options(string name = "t0", int queues = 1) => new() { Name = name, Queues = queues };

    /// <summary>Opens an interface in the namespace.</summary>
    internal TapInterface Open(TapOptions options) => TapInterface.Open(options with { NetworkNamespace = Net.Path });

    /// <summary>What the kernel says of an interface; null when there is none.</summary>
    internal LinkInfo? Find(string name) => Net.Run(() =>
    {
        using var netlink = new Rtnetlink();
        return netlink.Find(name);
    });

    internal string[] InterfaceNames() =>
        [.. Net.Run(NetworkInterface.GetAllNetworkInterfaces).Select(found => found.Name).Order()];

    internal string[] Addresses(string name) => Net.Run(() => NetworkInterface.GetAllNetworkInterfaces()
        .Single(found => found.Name == name)
        .GetIPProperties()
        .UnicastAddresses
        .Select(address => $"{address.Address}/{address.PrefixLength}")
        .ToArray());

    internal void AddBridge(string name) => Net.Run(() =>
    {
        using var any = new OwnedFd((int)Sys.Result(socket(AF_INET, SOCK_DGRAM, 0)).OrThrow("socket"));
        fixed (byte* bytes = System.Text.Encoding.UTF8.GetBytes(name + "\0"))
        {
            Sys.Result(ioctl(any.Number, SIOCBRADDBR, (nint)bytes)).OrThrow("ioctl(SIOCBRADDBR)");
        }
    });

    /// <summary>A persistent interface that nobody has open, as <c>ip tuntap add</c> leaves it.</summary>
    internal void AddPersistent(string name, bool multiQueue) => Net.Run(() =>
    {
        using OwnedFd queue = TunDevice.Open();
        int flags = TunDevice.IFF_TAP | TunDevice.IFF_NO_PI | (multiQueue ? TunDevice.IFF_MULTI_QUEUE : 0);
        TunDevice.Attach(queue, name, (ushort)flags);
        TunDevice.SetPersistent(queue, on: true).OrThrow("ioctl(TUNSETPERSIST)");
    });

    public void Dispose() => Net.Dispose();

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socket(int domain, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(int fd, nuint operation, nint argument);
}
