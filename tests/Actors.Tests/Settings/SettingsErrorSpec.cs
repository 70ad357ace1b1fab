using Akka.Configuration;
using Ringmaster.Actors.Settings;

namespace Ringmaster.Actors.Tests.Settings;

/// <summary>Every way in which a configuration can be wrong names the key, what was found and what is allowed.</summary>
public sealed class SettingsErrorSpec
{
    private const string Net0 = "ringmaster.devices.net0.";

    [Theory]
    [InlineData("socket", "\"\"", "a path of 1 to 107 bytes")]
    [InlineData("socket", "[a, b]", "a path of 1 to 107 bytes")]
    [InlineData("queue-pairs", "0", "a whole number from 1 to 128")]
    [InlineData("queue-pairs", "129", "a whole number from 1 to 128")]
    [InlineData("queue-pairs", "many", "a whole number from 1 to 128")]
    [InlineData("queue-pairs", "1.5", "a whole number from 1 to 128")]
    [InlineData("queue-pairs", "{ a = 1 }", "a whole number from 1 to 128")]
    [InlineData("queue-pairs", "null", "a whole number from 1 to 128")]
    [InlineData("queue-size", "300", "a power of two from 2 to 32768")]
    [InlineData("queue-size", "1", "a power of two from 2 to 32768")]
    [InlineData("queue-size", "65536", "a power of two from 2 to 32768")]
    [InlineData("queue-size", "99999999999", "a power of two from 2 to 32768")]
    [InlineData("queue-num", "rings", "one of vrings, pairs")]
    [InlineData("mac", "\"02:00:00:00:00\"", "none, or a unicast MAC address")]
    [InlineData("mac", "\"01:00:5e:00:00:01\"", "none, or a unicast MAC address")]
    [InlineData("mac", "\"00:00:00:00:00:00\"", "none, or a unicast MAC address")]
    [InlineData("mac", "\"02:00:00:00:00:1\"", "none, or a unicast MAC address")]
    [InlineData("mtu", "67", "none, or a whole number from 68 to 65535")]
    [InlineData("mtu", "65536", "none, or a whole number from 68 to 65535")]
    [InlineData("enabled", "maybe", "on or off")]
    [InlineData("tap.name", "a-name-that-is-too-long", "an interface name of 1 to 15 bytes")]
    [InlineData("tap.name", "\"a b\"", "an interface name of 1 to 15 bytes")]
    [InlineData("tap.name", "\"tap%d%d\"", "an interface name of 1 to 15 bytes")]
    [InlineData("tap.name", "\"tap%s\"", "an interface name of 1 to 15 bytes")]
    [InlineData("tap.name", "a/b", "an interface name of 1 to 15 bytes")]
    [InlineData("tap.address", "[192.0.2.1]", "a list, each element an IP address with a prefix length")]
    [InlineData("tap.address", "[192.0.2.1/33]", "a list, each element an IP address with a prefix length")]
    [InlineData("tap.address", "[10.1/8]", "a list, each element an IP address with a prefix length")]
    [InlineData("tap.address", "{ a = 1 }", "a list, each element an IP address with a prefix length")]
    [InlineData("tap.host-mac", "auto", "none, or a unicast MAC address")]
    [InlineData("tap.bridge", "\"br/0\"", "none, or an interface name")]
    [InlineData("tap.netns", "a/b", "none, or the name of a network namespace")]
    [InlineData("tap.persist", "2", "on or off")]
    [InlineData("worker.cpus", "all", "auto, or a list, each element a whole number from 0 to 8191")]
    [InlineData("worker.cpus", "[0, 8192]", "auto, or a list, each element a whole number from 0 to 8191")]
    [InlineData("worker.io", "uring", "one of auto, io-uring, syscall")]
    [InlineData("worker.busy-poll", "2s", "auto, or a time from 0us to 1s")]
    [InlineData("worker.busy-poll", "50 furlongs", "auto, or a time from 0us to 1s")]
    [InlineData("worker.busy-poll", "\"-1us\"", "auto, or a time from 0us to 1s")]
    [InlineData("worker.merge", "auto", "on or off")]
    [InlineData("features.csum", "masked", "on or off")]
    [InlineData("protocol-features.mq", "1", "on or off")]
    [InlineData("mode", "listen", "one of server, client")]
    [InlineData("connect.min-backoff", "0", "a time from 10ms to 10m")]
    [InlineData("connect.max-backoff", "1h", "a time from 10ms to 10m")]
    [InlineData("connect.max-backoff", "50ms", "no less than min-backoff, which is 100ms")]
    [InlineData("restart.max-restarts", "\"-1\"", "a whole number from 0 to 1000")]
    [InlineData("restart.window", "60", "a time from 1s to 1h (units: us, ms, s, m, h)")]
    [InlineData("restart.window", "2h", "a time from 1s to 1h")]
    [InlineData("restart.min-backoff", "soon", "a time from 0us to 10m")]
    [InlineData("restart.max-backoff", "10ms", "no less than min-backoff, which is 50ms")]
    [InlineData("restart.worker-timeout", "0", "a time from 10ms to 1m")]
    public void A_value_that_is_not_allowed_is_an_error_that_names_its_key(string key, string value, string allowed)
    {
        SettingsError error = Assert.Single(ErrorsOf($"{Net0}{key} = {value}"));

        Assert.Equal(Net0 + key, error.Key);
        Assert.StartsWith("found ", error.Problem, StringComparison.Ordinal);
        Assert.Contains($"allowed is {allowed}", error.Problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ringmaster.log.level", "verbose", "one of debug, info, warning, error, off")]
    [InlineData("ringmaster.log.format", "xml", "one of text, journal, json")]
    [InlineData("ringmaster.log", "info", "a section { ... }")]
    [InlineData("ringmaster.devices", "[net0]", "a section { ... }")]
    [InlineData("ringmaster.devices.net0", "on", "a section { ... }")]
    [InlineData("ringmaster.devices.net0.tap", "tap0", "a section { ... }")]
    public void A_wrong_value_outside_a_device_is_an_error_too(string key, string value, string allowed)
    {
        Assert.Contains(ErrorsOf($"{key} = {value}"), error =>
            error.Key == key && error.Problem.Contains($"allowed is {allowed}", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("ringmaster.devices.net0.queue-pair = 4", "ringmaster.devices.net0.queue-pair")]
    [InlineData("ringmaster.devices.net0.tap.adress = []", "ringmaster.devices.net0.tap.adress")]
    [InlineData("ringmaster.devices.net0.worker.cpu = 4", "ringmaster.devices.net0.worker.cpu")]
    [InlineData("ringmaster.devices.net0.features.mergeable = on", "ringmaster.devices.net0.features.mergeable")]
    [InlineData("ringmaster.devices.net0.protocol-features.xen = on", "ringmaster.devices.net0.protocol-features.xen")]
    [InlineData("ringmaster.devices.net0.restart.max = 4", "ringmaster.devices.net0.restart.max")]
    [InlineData("ringmaster.device-defaults.sockets = 4", "ringmaster.device-defaults.sockets")]
    [InlineData("ringmaster.log.levels = info", "ringmaster.log.levels")]
    [InlineData("ringmaster.device.net1.mtu = 4", "ringmaster.device")]
    [InlineData("ringmast.log.level = info", "ringmast")]
    public void An_unknown_key_is_an_error_that_lists_the_known_ones(string hocon, string key)
    {
        SettingsError error = Assert.Single(ErrorsOf(hocon));

        Assert.Equal(key, error.Key);
        Assert.StartsWith("unknown key; known here: ", error.Problem, StringComparison.Ordinal);
    }

    public static TheoryData<string> KeysOfTheReference()
    {
        var data = new TheoryData<string>();
        data.AddRange([.. Leaves(ConfigurationNode.From(ReferenceConfiguration.Value)).Where(path =>
            path.StartsWith("ringmaster.device-defaults.", StringComparison.Ordinal)
            || path.StartsWith("ringmaster.log.", StringComparison.Ordinal))]);
        return data;
    }

    [Theory]
    [MemberData(nameof(KeysOfTheReference))]
    public void Every_key_of_the_reference_configuration_is_read_and_has_no_default_elsewhere(string path)
    {
        const string Device = "ringmaster.devices { net0.enabled = on, net0.tap.address = [], net0.tap.name = t0 }";
        string without = Without(ReferenceConfiguration.Text, path);

        SettingsError[] errors = ErrorsOf(ConfigurationFactory.ParseString($"{without}\n{Device}"));

        bool givenByTheDevice = path.EndsWith(".enabled", StringComparison.Ordinal)
            || path.EndsWith("tap.address", StringComparison.Ordinal)
            || path.EndsWith("tap.name", StringComparison.Ordinal);
        if (givenByTheDevice)
        {
            Assert.Empty(errors);
            return;
        }

        SettingsError error = Assert.Single(errors);
        Assert.Equal(path.Replace("device-defaults", "devices.net0", StringComparison.Ordinal), error.Key);
        Assert.StartsWith("missing; allowed is ", error.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void All_errors_are_gathered_and_the_message_has_one_line_for_each()
    {
        var exception = Assert.Throws<SettingsException>(() => BackendSettings.Load(ReferenceConfiguration.With("""
            ringmaster.devices.net0 { mtu = 1, queue-size = 3, tap.name = "", worker.cpus = [x, y], speed = 10 }
            ringmaster.log.level = loud
            """)));

        Assert.Equal(
            [
                "ringmaster.log.level", Net0 + "queue-size", Net0 + "mtu", Net0 + "tap.name",
                Net0 + "worker.cpus", Net0 + "worker.cpus", Net0 + "speed",
            ],
            exception.Errors.Select(error => error.Key));
        Assert.Equal(exception.Errors.Length, exception.Message.Split('\n').Length);
        const string QueueSize = Net0 + "queue-size: found '3'; allowed is a power of two from 2 to 32768";
        Assert.Contains(QueueSize, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_wrong_default_is_named_where_it_stands_and_once_for_all_devices()
    {
        SettingsError error = Assert.Single(ErrorsOf("""
            ringmaster.device-defaults.queue-size = 3
            ringmaster.devices {
              a {}
              b {}
            }
            """));

        Assert.Equal("ringmaster.device-defaults.queue-size", error.Key);
    }

    [Fact]
    public void A_device_that_is_off_is_checked_all_the_same()
    {
        SettingsError error = Assert.Single(ErrorsOf("ringmaster.devices.spare { enabled = off, mtu = 1 }"));

        Assert.Equal("ringmaster.devices.spare.mtu", error.Key);
    }

    [Fact]
    public void A_back_end_without_a_device_is_an_error()
    {
        SettingsError error = Assert.Single(ErrorsOf("ringmaster.devices.net0.enabled = off"));

        Assert.Equal("ringmaster.devices", error.Key);
    }

    [Theory]
    [InlineData("a.b")]
    [InlineData("a b")]
    [InlineData("-a")]
    [InlineData("a/b")]
    public void A_device_name_that_would_not_do_as_an_actor_name_is_an_error(string name)
    {
        SettingsError error = Assert.Single(ErrorsOf($"ringmaster.devices {{ \"{name}\" {{ }} }}"));

        Assert.Contains($"found the device name '{name}'", error.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_devices_on_one_socket_are_an_error()
    {
        SettingsError error = Assert.Single(ErrorsOf(
            """ringmaster { device-defaults.socket = "/tmp/x.sock", devices { a {} } }"""));

        Assert.Equal(Net0 + "socket", error.Key);
        Assert.Contains("which a has", error.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_devices_with_one_interface_are_an_error_unless_they_are_in_different_namespaces()
    {
        SettingsError error = Assert.Single(ErrorsOf("ringmaster.devices { a { tap.name = rm-net0 } }"));

        Assert.Equal(Net0 + "tap.name", error.Key);
        Assert.Empty(ErrorsOf("ringmaster.devices { a { tap { name = rm-net0, netns = lab } } }"));
    }

    [Fact]
    public void A_substitution_that_leads_nowhere_ends_in_an_error_and_not_in_an_endless_loop()
    {
        SettingsError[] errors = ErrorsOf("ringmaster.log.level = ${?nowhere}");

        Assert.NotEmpty(errors);
    }

    private static SettingsError[] ErrorsOf(string hocon) => ErrorsOf(ReferenceConfiguration.With(hocon));

    private static SettingsError[] ErrorsOf(Config config)
    {
        try
        {
            BackendSettings.Load(config);
            return [];
        }
        catch (SettingsException exception)
        {
            return [.. exception.Errors];
        }
    }

    private static IEnumerable<string> Leaves(ConfigurationNode node) =>
        node.Children is null ? [node.Path] : node.Children.Values.SelectMany(Leaves);

    /// <summary>The reference text without the line of one key; sections are followed by their braces.</summary>
    private static string Without(string text, string path)
    {
        var sections = new Stack<string>();
        var kept = new List<string>();
        foreach (string line in text.Split('\n'))
        {
            string trimmed = line.Trim();
            if (trimmed.StartsWith('#'))
            {
                continue;
            }

            if (trimmed.EndsWith('{'))
            {
                sections.Push(trimmed[..^1].Trim());
            }
            else if (trimmed == "}")
            {
                sections.Pop();
            }
            else if (string.Join('.', sections.Reverse().Append(trimmed.Split('=')[0].Trim())) == path)
            {
                continue;
            }

            kept.Add(line);
        }

        return string.Join('\n', kept);
    }
}
