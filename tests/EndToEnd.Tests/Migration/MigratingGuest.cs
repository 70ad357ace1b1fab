using System.Globalization;
using System.Text.Json;
using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests.Migration;

/// <summary>What QEMU says of a migration that has been completed.</summary>
internal sealed record MigrationReport(TimeSpan Total, TimeSpan Downtime, long Rounds)
{
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Total.TotalMilliseconds:F0} ms in all, {Downtime.TotalMilliseconds:F0} ms down, {Rounds} rounds");
}

/// <summary>A guest that goes from one of <see cref="TwoHosts"/> to the other, QEMU by QEMU.</summary>
internal sealed class MigratingGuest : IAsyncDisposable
{
    /// <summary>For whatever announces itself: generous, for the machine may be busy with something else.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly TemporaryFolder _folder = new();
    private readonly TwoHosts _hosts;
    private readonly IReadOnlyList<string> _properties;
    private QemuGuest? _guest;
    private QemuMonitor? _monitor;
    private int _qemus;

    private MigratingGuest(TwoHosts hosts, IReadOnlyList<string> properties)
    {
        _hosts = hosts;
        _properties = properties;
        Host = hosts.Left;
    }

    /// <summary>Where it is.</summary>
    internal IBackend Host { get; private set; }

    internal QemuGuest Guest => _guest ?? throw new InvalidOperationException("the guest has not been booted");

    /// <summary>Boots it on the left; returns when it has its addresses.</summary>
    internal static async Task<MigratingGuest> BootAsync(TwoHosts hosts, params IReadOnlyList<string> properties)
    {
        MigratingGuest guest = new(hosts, properties);
        try
        {
            (guest._guest, guest._monitor) = await guest.StartQemuAsync(hosts.Left, incoming: false);
            await ServedGuest.ConfigureAsync(guest._guest);
            return guest;
        }
        catch
        {
            await guest.DisposeAsync();
            throw;
        }
    }

    /// <summary>Migrates it to the other machine while it runs. The QEMU that it leaves ends.</summary>
    internal async Task<MigrationReport> MigrateAsync()
    {
        IBackend there = _hosts.Other(Host);
        (QemuGuest target, QemuMonitor incoming) = await StartQemuAsync(there, incoming: true);
        try
        {
            object address = new { uri = "unix:" + _folder[$"way{_qemus}"] };
            await AllowAsync(_monitor!);
            await AllowAsync(incoming);
            await incoming.RunAsync("migrate-incoming", address);
            await _monitor!.RunAsync("migrate", address);
            await CompletedAsync(_monitor);
            await CompletedAsync(incoming);
            MigrationReport report = ReportOf(await _monitor.RunAsync("query-migrate"));
            await LeaveAsync();
            (_guest, _monitor, Host) = (target, incoming, there);
            return report;
        }
        catch
        {
            incoming.Dispose();
            await target.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        _monitor?.Dispose();
        if (_guest is not null)
        {
            await _guest.DisposeAsync();
        }

        _folder.Dispose();
    }

    private static Task AllowAsync(QemuMonitor monitor) => monitor.RunAsync(
        "migrate-set-capabilities", new { capabilities = new[] { new { capability = "events", state = true } } });

    private static async Task CompletedAsync(QemuMonitor monitor)
    {
        string status;
        do
        {
            JsonElement change = await monitor.EventAsync("MIGRATION", Patience);
            status = change.GetProperty("status").GetString()!;
            Assert.NotEqual("failed", status);
        }
        while (status != "completed");
    }

    private static MigrationReport ReportOf(JsonElement answer) => new(
        TimeSpan.FromMilliseconds(answer.GetProperty("total-time").GetInt64()),
        TimeSpan.FromMilliseconds(answer.GetProperty("downtime").GetInt64()),
        answer.GetProperty("ram").GetProperty("dirty-sync-count").GetInt64());

    private async Task LeaveAsync()
    {
        await _monitor!.RunAsync("quit");
        _monitor.Dispose();
        await Guest.Process.ExitAsync(Patience);
        await Guest.DisposeAsync();
    }

    private async Task<(QemuGuest Guest, QemuMonitor Monitor)> StartQemuAsync(IBackend backend, bool incoming)
    {
        string path = _folder[$"monitor{++_qemus}"];
        QemuGuest guest = await QemuGuest.BootAsync(
            backend,
            new QemuOptions { Newer = true, Monitor = path, Incoming = incoming, DeviceProperties = _properties });
        return (guest, await QemuMonitor.ConnectAsync(path));
    }
}
