using System.Globalization;
using System.Text.RegularExpressions;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>The guest's network card, as QEMU is told to make it.</summary>
internal sealed record QemuOptions
{
    internal int Queues { get; init; } = 2;

    /// <summary>Further properties of virtio-net-pci: <c>packed=on</c>, <c>mrg_rxbuf=off</c>, <c>host_mtu=9000</c>.</summary>
    internal IReadOnlyList<string> DeviceProperties { get; init; } = [];

    /// <summary>Connect again, every second, when the back-end goes away.</summary>
    internal bool Reconnect { get; init; }

    /// <summary>QEMU listens for the back-end, waits for it before the guest boots, and listens again when it goes.</summary>
    internal bool Listens { get; init; }

    /// <summary>Where QEMU listens for its monitor (QMP), or null for none.</summary>
    internal string? Monitor { get; init; }

    /// <summary>Wait for a guest that is to come from another QEMU (<c>migrate-incoming</c>), instead of booting one.</summary>
    internal bool Incoming { get; init; }

    /// <summary>The guest has an IOMMU with the card behind it, and uses it for each transfer.</summary>
    internal bool Iommu { get; init; }

    /// <summary>Take <see cref="NewerQemu"/> instead of the machine's, and MSI-X with it.</summary>
    internal bool Newer { get; init; }
}

/// <summary>What a command in the guest printed, and its exit code.</summary>
internal sealed record GuestAnswer(int ExitCode, string Output);

/// <summary>
/// A Linux guest under QEMU with software emulation, memory shared through a memfd, and one vhost-user network card. Its
/// shell is reached over the second serial line (<c>guest-init.sh</c>).
/// </summary>
/// <remarks>
/// QEMU 7.2 crashes with vhost-user, emulation and MSI-X together (in msix_set_vector_notifiers), hence <c>vectors=0</c>.
/// On a busy machine the emulated timer can look broken to the kernel, hence <c>no_timer_check</c>.
/// </remarks>
internal sealed class QemuGuest : IAsyncDisposable
{
    internal const string Mac = "52:54:00:12:34:56";
    private static readonly TimeSpan BootTimeout = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan CommandTimeout = TimeSpan.FromSeconds(60);

    // Each buffer is mapped for one transfer, and withdrawn before its address is used again.
    private const string IommuKernel = " intel_iommu=on iommu.strict=1 iommu.passthrough=0";

    // Only behind a root port is a virtio device a PCI Express endpoint, which ATS needs: without it the guest would not tell
    // the device's IOTLB of what it withdraws.
    private static readonly string[] IommuDevices =
        ["-device", "intel-iommu,intremap=on,device-iotlb=on", "-device", "pcie-root-port,id=port0"];
    private static readonly string[] IommuProperties = ["bus=port0", "disable-legacy=on", "iommu_platform=on", "ats=on"];

    private readonly TemporaryFolder _folder;
    private int _number;

    private QemuGuest(TemporaryFolder folder, ManagedProcess process)
    {
        _folder = folder;
        Process = process;
    }

    internal ManagedProcess Process { get; }

    /// <summary>What the guest's kernel printed.</summary>
    internal string KernelLog => File.ReadAllText(_folder["console"]);

    /// <summary>Boots a guest; returns when its shell is ready.</summary>
    internal static async Task<QemuGuest> BootAsync(IBackend backend, QemuOptions options)
    {
        string[] command = options.Newer ? await NewerQemu.CommandAsync() : ["qemu-system-x86_64"];
        string[] vectors = options.Newer ? [] : ["vectors=0"];
        string[] iommu = options.Iommu ? IommuProperties : [];
        string device = string.Join(
            ',', [$"virtio-net-pci,netdev=n0,mac={Mac},mq=on", .. vectors, .. options.DeviceProperties, .. iommu]);
        string[] arguments =
        [
            "-accel", "tcg,thread=multi", "-cpu", "max", "-M", "q35", "-smp", "2", "-m", "256M",
            "-display", "none", "-nodefaults", "-no-user-config",
            "-object", "memory-backend-memfd,id=mem,size=256M,share=on", "-numa", "node,memdev=mem",
            "-chardev", $"socket,id=c0,path={backend.Socket}{Connection(options)}",
            "-netdev", string.Create(CultureInfo.InvariantCulture, $"vhost-user,id=n0,chardev=c0,queues={options.Queues}"),
            .. options.Iommu ? IommuDevices : [],
            "-device", device,
            .. options.Monitor is null ? [] : new[] { "-qmp", $"unix:{options.Monitor},server=on,wait=off" },
            .. options.Incoming ? new[] { "-incoming", "defer" } : [],
        ];
        return await BootAsync(
            boot => backend.Namespace.Start("QEMU", command[0], [.. command[1..], .. arguments, .. boot]),
            waits: options.Incoming,
            options.Iommu ? IommuKernel : "");
    }

    /// <summary>Boots a guest by a command line of the caller's; returns when its shell is ready.</summary>
    /// <param name="start">Starts QEMU with further arguments: the guest's kernel, its two serial lines, no monitor.</param>
    /// <param name="waits">The guest is to come from elsewhere: returns at once.</param>
    /// <param name="kernel">Further words for the guest's kernel.</param>
    internal static async Task<QemuGuest> BootAsync(Func<string[], ManagedProcess> start, bool waits = false, string kernel = "")
    {
        Require.Program("qemu-system-x86_64", "qemu-system-x86");
        GuestImage image = await GuestImage.GetAsync();
        TemporaryFolder folder = new();
        QemuGuest guest = new(folder, start(
        [
            "-kernel", image.Kernel, "-initrd", image.InitialRamDisk, "-append", $"console=ttyS0 no_timer_check quiet{kernel}",
            "-serial", $"file:{folder["console"]}", "-serial", "stdio", "-monitor", "none",
        ]));
        if (waits)
        {
            return guest;
        }

        try
        {
            await guest.Process.LineAsync("^@ready", BootTimeout);
            return guest;
        }
        catch (TimeoutException timeout)
        {
            string log = guest.KernelLog;
            await guest.DisposeAsync();
            throw new TimeoutException($"{timeout.Message}\nThe guest's kernel said:\n{log}", timeout);
        }
    }

    /// <summary>Runs a shell command in the guest.</summary>
    internal async Task<GuestAnswer> RunAsync(string command)
    {
        int number = ++_number;
        int mark = Process.Mark;
        Process.Write(string.Create(CultureInfo.InvariantCulture, $"{number} {command}"));
        Match end = await Process.LineAsync($"^@end {number} (\\d+)$", CommandTimeout, mark);
        IEnumerable<string> lines = Process.LinesFrom(mark)
            .SkipWhile(line => line != $"@begin {number}").Skip(1)
            .TakeWhile(line => line != end.Value);
        return new GuestAnswer(int.Parse(end.Groups[1].Value, CultureInfo.InvariantCulture), string.Join('\n', lines).TrimEnd());
    }

    /// <summary>Runs a shell command that must succeed; its output.</summary>
    internal async Task<string> MustRunAsync(string command)
    {
        GuestAnswer answer = await RunAsync(command);
        Assert.True(answer.ExitCode == 0, $"In the guest, `{command}` ended with {answer.ExitCode}:\n{answer.Output}");
        return answer.Output;
    }

    /// <summary>Reboots the guest in the same QEMU, which resets the card; returns when the shell is ready again.</summary>
    internal async Task RebootAsync()
    {
        int mark = Process.Mark;
        Process.Write("0 reboot -f");
        await Process.LineAsync("^@ready", BootTimeout, mark);
    }

    private static string Connection(QemuOptions options) => options switch
    {
        { Listens: true } => ",server=on,wait=on",
        { Reconnect: true } => ",reconnect=1",
        _ => "",
    };

    public async ValueTask DisposeAsync()
    {
        await Process.DisposeAsync();
        _folder.Dispose();
    }
}
