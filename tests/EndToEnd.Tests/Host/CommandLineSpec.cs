using System.Text.Json;
using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests.Host;

/// <summary>What the executable does with its command line, without opening anything.</summary>
public sealed class CommandLineSpec
{
    private const string FiftyBytes = "01234567890123456789012345678901234567890123456789";
    private const string PathOf108Bytes = "/tmp/" + FiftyBytes + FiftyBytes + "012";
    private const string SecondDevice = "ringmaster.devices.net1.mtu=1500";

    [Theory]
    [InlineData("--print-capabilities")]
    [InlineData("--print-capabilities", "--socket-path=/nowhere/x", "--fd=77", "--config", "/nowhere/y", "--never-heard-of")]
    [InlineData("run", "--print-capabilities")]
    public async Task Print_capabilities_says_net_in_JSON_and_ignores_everything_else(params string[] arguments)
    {
        CliResult result = await Cli.RunAsync(arguments);

        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        JsonElement capabilities = JsonDocument.Parse(result.Output).RootElement;
        Assert.Equal("net", capabilities.GetProperty("type").GetString());
    }

    [Fact]
    public async Task Help_names_every_command_and_option()
    {
        CliResult result = await Cli.RunAsync("--help");

        Assert.Equal(0, result.ExitCode);
        Assert.All(
            ["run", "check", "--config", "-D", "--socket-path", "--fd", "--print-capabilities", "--version"],
            word => Assert.Contains(word, result.Output, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Version_is_the_assemblys()
    {
        CliResult result = await Cli.RunAsync("--version");

        Assert.Equal(0, result.ExitCode);
        Assert.Matches(@"^\d+\.\d+\.\d+(\+[0-9a-f]+)?\n$", result.Output);
    }

    [Theory]
    [InlineData("--bogus")]
    [InlineData("serve")]
    [InlineData("run", "extra")]
    [InlineData("run", "--config")]
    [InlineData("run", "@response")]
    public async Task What_is_not_known_is_refused_with_exit_code_2(params string[] arguments)
    {
        CliResult result = await Cli.RunAsync(arguments);

        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.StartsWith("ringmaster: ", result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--fd=3 and", "incompatible", "--socket-path=/tmp/x.sock", "--fd=3")]
    [InlineData("standard output", "--fd=1: allowed is the number of an inherited socket, 3 or more", "--fd=1")]
    [InlineData("no number", "--fd=three: allowed is the number of an inherited socket, 3 or more", "--fd=three")]
    [InlineData("empty", "--socket-path", "--socket-path=")]
    [InlineData("too long", ": allowed is a path of 1 to 107 bytes", "--socket-path=" + PathOf108Bytes)]
    [InlineData("two devices", "--fd is for one device, and 2 are enabled: net0, net1", "--fd=3", "-D", SecondDevice)]
    [InlineData("no value", "-D ringmaster.log.level: allowed is KEY=VALUE", "-D", "ringmaster.log.level")]
    [InlineData("bad key", "-D a..b=1: allowed is KEY=VALUE", "-D", "a..b=1")]
    [InlineData("bad list", "-D ringmaster.devices.net0.worker.cpus=[1", "-D", "ringmaster.devices.net0.worker.cpus=[1")]
    [InlineData("no file", "/nowhere/ringmaster.conf: ", "--config", "/nowhere/ringmaster.conf")]
    [InlineData("a directory", "/tmp: ", "--config", "/tmp")]
    public async Task Options_that_cannot_be_used_are_refused_with_exit_code_2(
        string why, string expected, params string[] arguments)
    {
        CliResult result = await Cli.RunAsync(["check", .. arguments]);

        Assert.True(result.ExitCode == 2, why);
        Assert.Equal("", result.Output);
        Assert.Contains(expected, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Check_prints_the_settings_in_force_and_they_can_be_read_again()
    {
        using var folder = new TemporaryFolder();

        CliResult first = await Cli.RunAsync(
            "check", "-D", "ringmaster.devices.net0.mac=02:00:00:00:00:01",
            "-Dringmaster.devices.net0.tap.address=[\"fd00::1/64\"]");
        await File.WriteAllTextAsync(folder["again.conf"], first.Output);
        CliResult again = await Cli.RunAsync("check", "--config", folder["again.conf"]);

        Assert.Equal((0, ""), (first.ExitCode, first.Error));
        Assert.Contains("mac = \"02:00:00:00:00:01\"", first.Output, StringComparison.Ordinal);
        Assert.Contains("address = [\"fd00::1/64\"]", first.Output, StringComparison.Ordinal);
        Assert.Equal(first, again);
    }

    [Fact]
    public async Task Later_layers_win_key_by_key()
    {
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(
            folder["a.conf"], "ringmaster.devices.net0 { queue-pairs = 3, queue-size = 128, mtu = 2000 }");
        await File.WriteAllTextAsync(folder["b.conf"], "ringmaster.devices.net0 { queue-size = 512, mtu = 3000 }");

        CliResult result = await Cli.RunAsync(
            "check", "--config", folder["a.conf"], "-D", "ringmaster.devices.net0.mtu=4000", "--config", folder["b.conf"],
            "--socket-path=/tmp/last.sock");

        Assert.Equal(0, result.ExitCode);
        Assert.All(
            ["queue-pairs = 3", "queue-size = 512", "mtu = 4000", "socket = \"/tmp/last.sock\""],
            line => Assert.Contains(line, result.Output, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("check")]
    [InlineData("run")]
    public async Task Every_error_of_the_configuration_names_its_key_on_standard_error_and_the_exit_code_is_2(string command)
    {
        CliResult result = await Cli.RunAsync(
            command, "-D", "ringmaster.devices.net0.queue-size=300", "-D", "ringmaster.log.level=loud",
            "-D", "ringmaster.devices.net0.speed=10");

        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.All(
            [
                "ringmaster.devices.net0.queue-size: found '300'; allowed is a power of two from 2 to 32768",
                "ringmaster.log.level: found 'loud'; allowed is one of debug, info, warning, error, off",
                "ringmaster.devices.net0.speed: unknown key",
            ],
            error => Assert.Contains(error, result.Error, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("ringmaster {\n  log.level = debug\n", "line 1: '{' is not closed")]
    [InlineData("ringmaster {\n}\n}\n", "line 3: '}' closes nothing")]
    [InlineData("ringmaster.log.level = !!\n", "Unknown token")]
    public async Task A_file_that_is_not_HOCON_is_refused_by_name(string text, string expected)
    {
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(folder["bad.conf"], text);

        CliResult result = await Cli.RunAsync("check", "--config", folder["bad.conf"]);

        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Contains(folder["bad.conf"], result.Error, StringComparison.Ordinal);
        Assert.Contains(expected, result.Error, StringComparison.Ordinal);
    }
}
