using System.Collections.Immutable;
using System.Globalization;
using Ringmaster.Actors.Settings;
using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Host.Configuration;

namespace Ringmaster.EndToEnd.Tests.Host;

/// <summary>Which device gets which socket, and what is refused.</summary>
public sealed class SocketActivationSpec
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    [Theory]
    [InlineData(null, null, "a:- b:-")]
    [InlineData("0", null, "a:- b:-")]
    [InlineData("0", "", "a:- b:-")]
    [InlineData("1", "b", "a:- b:3")]
    [InlineData("2", "b:a", "a:4 b:3")]
    public void A_socket_goes_to_the_device_of_its_name(string? count, string? names, string expected) =>
        Assert.Equal(expected, Places(SocketActivation.Of(count, names), "a", "b"));

    [Theory]
    [InlineData("anything")]
    [InlineData(null)]
    public void One_socket_goes_to_the_only_device(string? name) =>
        Assert.Equal("a:3", Places(SocketActivation.Of("1", name), "a"));

    [Theory]
    [InlineData("many", null, "LISTEN_FDS=many: allowed is how many sockets were passed")]
    [InlineData("-1", null, "LISTEN_FDS=-1: allowed is")]
    [InlineData("99999999999", null, "LISTEN_FDS=99999999999: allowed is")]
    [InlineData("2000000000", null, "LISTEN_FDS=2000000000: allowed is")]
    [InlineData("2", "a", "LISTEN_FDNAMES=a: allowed are as many names as LISTEN_FDS says, 2")]
    [InlineData("2", "a:b:c", "LISTEN_FDNAMES=a:b:c: allowed are as many names as LISTEN_FDS says, 2")]
    [InlineData("2", "a:c", "socket 'c' of the service manager (fd 4) has no device; enabled are a, b")]
    [InlineData("1", null, "socket 'unknown' of the service manager (fd 3) has no device; enabled are a, b")]
    [InlineData("2", "a:a", "socket 'a' of the service manager (fd 4) has the name of another; a device has one socket")]
    public void What_makes_no_sense_is_an_error(string count, string? names, string problem)
    {
        ConfigurationException error = Assert.Throws<ConfigurationException>(
            () => Places(SocketActivation.Of(count, names), "a", "b"));
        Assert.StartsWith(problem, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true, "a:- b:3")]
    [InlineData(false, "a:- b:-")]
    public async Task The_variables_count_if_they_are_for_this_process_and_no_child_sees_them(bool ours, string expected)
    {
        int process = ours ? Environment.ProcessId : Environment.ProcessId + 1;
        Environment.SetEnvironmentVariable("LISTEN_PID", process.ToString(CultureInfo.InvariantCulture));
        Environment.SetEnvironmentVariable("LISTEN_FDS", "1");
        Environment.SetEnvironmentVariable("LISTEN_FDNAMES", "b");

        var activation = SocketActivation.Take();

        Assert.Equal(expected, Places(activation, "a", "b"));
        Assert.DoesNotContain("LISTEN_", await ManagedProcess.RunAsync(Limit, "env"), StringComparison.Ordinal);
    }

    private static string Places(SocketActivation activation, params string[] devices)
    {
        BackendSettings all = BackendSettings.Load(ConfigurationLoader.Load([], ["ringmaster.devices.net0.mtu=1500"]));
        BackendSettings settings = all with { Devices = [.. devices.Select(name => all.Devices[0] with { Name = name })] };
        ImmutableArray<DeviceSettings> placed = activation.ApplyTo(settings).Devices;
        return string.Join(
            ' ', placed.Select(device => $"{device.Name}:{device.SocketFd?.ToString(CultureInfo.InvariantCulture) ?? "-"}"));
    }
}
