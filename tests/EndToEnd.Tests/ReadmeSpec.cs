using System.Text.RegularExpressions;
using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>What the README tells a reader to type works: the default device, and QEMU's command line for it.</summary>
public sealed class ReadmeSpec
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(20);

    /// <summary>
    /// The command line is taken from the README as it stands, but for what the machine decides: a machine without KVM
    /// emulates, with the card's <c>vectors=0</c> that the README asks for then. A kernel and serial lines are added at its
    /// end, so that the guest boots what the test can talk to.
    /// </summary>
    [SkippableFact]
    public async Task The_command_line_of_the_README_gives_a_guest_a_working_card()
    {
        Backends.SkipForDpdk("the README is Ringmaster's");
        Require.Root();
        Require.Program("nsenter", "util-linux");
        string[] command = Emulated(QemuCommandLine());
        using TemporaryFolder folder = new();
        await File.WriteAllBytesAsync(folder["disk.qcow2"], new byte[1 << 20]);
        await using TestNamespace network = await TestNamespace.CreateAsync();

        // `ip netns exec` gives a mount namespace of its own, in which /run/ringmaster is nobody else's.
        await using ManagedProcess ringmaster = network.Start(
            "ringmaster", "sh", "-c", "mount -t tmpfs tmpfs /run && exec \"$0\"", RingmasterProcess.Executable);
        await ringmaster.LineAsync("device net0: up", Timeout);
        await using QemuGuest guest = await QemuGuest.BootAsync(boot => ManagedProcess.Start(
            "QEMU", "nsenter", ["--target", $"{ringmaster.Id}", "--mount", "--net", "sh", "-c", "cd \"$0\" && exec \"$@\"",
                folder["."], .. command, .. boot]));
        await guest.MustRunAsync("ip link set eth0 up && ip addr add 192.168.76.2/24 dev eth0");

        string output = await guest.MustRunAsync("ping -c 3 -i 0.1 -W 3 192.168.76.1");

        Assert.Contains("3 packets received", output, StringComparison.Ordinal);
        Assert.Equal("02:00:00:00:00:01", await guest.MustRunAsync("cat /sys/class/net/eth0/address"));
    }

    /// <summary>The first command of the README that begins with qemu-system-x86_64, as words.</summary>
    private static string[] QemuCommandLine()
    {
        string readme = File.ReadAllText(Path.Combine(Repository(), "README.md"));
        Match match = Regex.Match(readme, @"(?m)^qemu-system-x86_64 (?:.*\\\n)*.*$");
        Assert.True(match.Success, "README.md has no command that begins with qemu-system-x86_64");
        return match.Value.Replace("\\\n", " ", StringComparison.Ordinal).Split(' ', StringSplitOptions.RemoveEmptyEntries);
    }

    private static string[] Emulated(string[] command) => [.. command.Select(word => word switch
    {
        "kvm" => "tcg",
        "host" => "max",
        _ => Regex.Replace(word, @"\bvectors=\d+", "vectors=0"),
    })];

    private static string Repository()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Actors.sln")))
        {
            folder = Path.GetDirectoryName(folder);
        }

        return folder ?? throw new DirectoryNotFoundException("Actors.sln is not above the tests");
    }
}
