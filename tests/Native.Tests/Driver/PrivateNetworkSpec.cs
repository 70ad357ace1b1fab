using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Tests.Driver;

public sealed class PrivateNetworkSpec
{
    [SkippableFact]
    public void Sockets_made_inside_see_none_of_the_outside()
    {
        using PrivateNetwork network = Open();
        using var outside = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        outside.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        using Socket inside = network.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));

        // The loopback interface inside is down, so that nothing can be reached.
        SocketException refused = Assert.Throws<SocketException>(() => inside.Connect(outside.LocalEndPoint!));
        Assert.Equal(SocketError.NetworkUnreachable, refused.SocketErrorCode);
    }

    [SkippableFact]
    public void Its_path_leads_into_it()
    {
        using PrivateNetwork network = Open();
        NetworkInterface[] interfaces = NetworkNamespace.Run(network.Path, NetworkInterface.GetAllNetworkInterfaces);
        Assert.Equal(["lo"], interfaces.Select(each => each.Name));
    }

    [SkippableFact]
    public void What_is_thrown_inside_is_thrown_outside()
    {
        using PrivateNetwork network = Open();
        Assert.Throws<InvalidTimeZoneException>(() => network.Run<int>(() => throw new InvalidTimeZoneException()));
        Assert.Equal(7, network.Run(() => 7));
    }

    private static PrivateNetwork Open()
    {
        bool required = Environment.GetEnvironmentVariable("RINGMASTER_REQUIRE_ALL") == "1";
        try
        {
            return new PrivateNetwork();
        }
        catch (LinuxException refused) when (refused.Error == Errno.EPERM && !required)
        {
            throw new SkipException("Needs CAP_SYS_ADMIN (run as root, or under 'unshare -Ur').");
        }
    }
}
