using System.Net.NetworkInformation;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Linux;

public sealed class NetworkNamespaceSpec
{
    private static string Here => File.ResolveLinkTarget("/proc/thread-self/ns/net", returnFinalTarget: false)!.Name;

    [SkippableFact]
    public void A_function_runs_inside_and_the_caller_stays_outside()
    {
        Requirement.NetworkNamespaces();
        using var net = new TemporaryNetwork();
        string before = Here;

        string inside = NetworkNamespace.Run(net.Path, () => Here);

        Assert.Equal(net.Run(() => Here), inside);
        Assert.NotEqual(before, inside);
        Assert.Equal(before, Here);
    }

    [SkippableFact]
    public void Interfaces_of_the_namespace_are_what_is_seen_inside()
    {
        Requirement.NetworkNamespaces();
        using var net = new TemporaryNetwork();
        NetworkInterface[] found = NetworkNamespace.Run(net.Path, NetworkInterface.GetAllNetworkInterfaces);
        Assert.Equal("lo", Assert.Single(found).Name);
    }

    [SkippableFact]
    public void What_the_function_throws_is_thrown_to_the_caller()
    {
        Requirement.NetworkNamespaces();
        using var net = new TemporaryNetwork();
        int Fail() => throw new InvalidDataException("from inside");
        Assert.Equal("from inside", Assert.Throws<InvalidDataException>(() => NetworkNamespace.Run(net.Path, Fail)).Message);
    }

    [Fact]
    public void A_name_is_looked_up_where_the_ip_program_keeps_them()
    {
        var e = Assert.Throws<LinuxException>(() => NetworkNamespace.Run("ringmaster-no-such", () => 0));
        Assert.Equal(Errno.ENOENT, e.Error);
        Assert.Contains("/run/netns/ringmaster-no-such", e.Message);
        Assert.Contains("there is no such network namespace", e.Message);
    }

    [SkippableFact]
    public void A_file_that_is_no_namespace_is_refused()
    {
        Requirement.NetworkNamespaces();
        var e = Assert.Throws<LinuxException>(() => NetworkNamespace.Run("/proc/self/status", () => 0));
        Assert.Contains("/proc/self/status", e.Message);
        Assert.Equal(Errno.EINVAL, e.Error);
    }
}
