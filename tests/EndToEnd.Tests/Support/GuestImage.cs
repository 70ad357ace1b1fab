using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// A real Linux guest: Debian's cloud kernel, and an initial RAM disk of busybox, iperf3, ethtool and tc with
/// <c>guest-init.sh</c> as its only process. Nothing is installed. Built once, kept in the <see cref="TestCache"/> and keyed by
/// the kernel's version and the recipe.
/// </summary>
internal sealed record GuestImage(string Kernel, string InitialRamDisk)
{
    private const string Package = "linux-image-cloud-amd64";
    private static readonly string[] Programs = ["/usr/bin/iperf3", "/usr/sbin/ethtool", "/usr/sbin/tc"];
    private static readonly string[] Modules = ["virtio_pci", "virtio_net", "sch_ingress", "cls_matchall", "act_mirred"];
    private static readonly TimeSpan Timeout = TimeSpan.FromMinutes(3);

    /// <summary>The image, built now if it is not in the cache. Safe against other processes that do the same.</summary>
    internal static async Task<GuestImage> GetAsync()
    {
        RequireTools();
        string version = await KernelVersionAsync();
        string init = Path.Combine(AppContext.BaseDirectory, "Support", "guest-init.sh");
        string recipe = Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(
            string.Join('\n', [await File.ReadAllTextAsync(init), .. Programs, .. Modules]))))[..12];
        string finished = await TestCache.GetAsync($"guest-{version}-{recipe}", work => BuildAsync(work, version, init));
        return new GuestImage(Path.Combine(finished, "vmlinuz"), Path.Combine(finished, "initrd"));
    }

    internal static void RequireTools()
    {
        Require.Program("apt-get", "apt");
        Require.Program("dpkg", "dpkg");
        Require.Program("cpio", "cpio");
        Require.Program("modprobe", "kmod");
        Require.Program("busybox", "busybox-static");
        Require.Program("iperf3", "iperf3");
        Require.Program("ethtool", "ethtool");
        Require.Program("tc", "iproute2");
        Require.Program("ldd", "libc-bin");
    }

    /// <summary>The kernel that Debian's meta package names at present.</summary>
    private static async Task<string> KernelVersionAsync()
    {
        string depends = await ManagedProcess.RunAsync(Timeout, "apt-cache", "depends", Package);
        Match match = Regex.Match(depends, @"Depends: linux-image-(\S+)");
        Require.Present(match.Success, $"apt knows no {Package}: `apt-get update` on Debian");
        return match.Groups[1].Value;
    }

    private static async Task BuildAsync(string work, string version, string init)
    {
        string root = Path.Combine(work, "root");
        string disk = Path.Combine(work, "disk");
        string result = Path.Combine(work, "result");
        await UnpackKernelAsync(work, root, version);
        await FillDiskAsync(root, disk, version, init);
        File.Move(Path.Combine(root, "boot", $"vmlinuz-{version}"), Path.Combine(result, "vmlinuz"));
        await TestCache.ShellAsync($"cd '{disk}' && find . | cpio --quiet -o -H newc -R 0:0 > '{result}/initrd'");
    }

    private static Task UnpackKernelAsync(string work, string root, string version) => TestCache.ShellAsync(
        $"cd '{work}' && apt-get -o APT::Sandbox::User=root -o Acquire::Retries=3 -q download linux-image-{version}"
        + $" && dpkg -x linux-image-{version}_*.deb '{root}' && depmod -b '{root}' '{version}'");

    private static async Task FillDiskAsync(string root, string disk, string version, string init)
    {
        foreach (string folder in new[] { "bin", "dev", "proc", "sys", "tmp", "etc", "lib/modules" })
        {
            Directory.CreateDirectory(Path.Combine(disk, folder));
        }

        File.Copy(Require.FindProgram("busybox")!, Path.Combine(disk, "bin", "busybox"));
        File.Copy(init, Path.Combine(disk, "init"));
        await TestCache.ShellAsync($"chmod 755 '{disk}/init'");
        foreach (string program in Programs)
        {
            File.Copy(program, Path.Combine(disk, "bin", Path.GetFileName(program)));
            foreach (Match library in Regex.Matches(await TestCache.ShellAsync($"ldd {program}"), @"/\S+"))
            {
                string copy = disk + library.Value;
                Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
                File.Copy(library.Value, copy, overwrite: true);
            }
        }

        List<string> order = [];
        foreach (string module in Modules)
        {
            string depends = await TestCache.ShellAsync($"modprobe -d '{root}' -S '{version}' --show-depends {module}");
            order.AddRange(Regex.Matches(depends, @"insmod (\S+)").Select(match => match.Groups[1].Value));
        }

        foreach (string module in order.Distinct())
        {
            File.Copy(module, Path.Combine(disk, "lib", "modules", Path.GetFileName(module)));
        }

        await File.WriteAllLinesAsync(
            Path.Combine(disk, "lib", "modules", "order"), order.Distinct().Select(Path.GetFileName).OfType<string>());
    }
}
