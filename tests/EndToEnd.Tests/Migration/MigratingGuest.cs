using System.Globalization;
using System.Text.Json;
using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests.Migration;

/// <summary>What QEMU says of a migration that has been completed.</summary>
internal sealed record MigrationReport(TimeSpan Total, TimeSpan Downtime, long Rounds, long PagesWanted)
{
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Total.TotalMilliseconds:F0} ms in all, {Downtime.TotalMilliseconds:F0} ms down, {Rounds} rounds, "
        + $"{PagesWanted} pages wanted");
}

/// <summary>A guest that goes from one of <see cref="TwoHosts"/> to the other, QEMU by QEMU.</summary>
internal sealed class MigratingGuest : IAsyncDisposable
{
    /// <summary>For whatever announces itself: generous, for the machine may be busy with something else.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private const int BytesPerSecond = 32_000_000;

    private readonly TemporaryFolder _folder = new();
    private readonly TwoHosts _hosts;
    private readonly QemuOptions _card;
    private QemuGuest? _guest;
    private QemuMonitor? _monitor;
    private int _qemus;

    private MigratingGuest(TwoHosts hosts, QemuOptions card)
    {
        _hosts = hosts;
        _card = card;
        Host = hosts.Left;
    }

    /// <summary>Where it is.</summary>
    internal IBackend Host { get; private set; }

    internal QemuGuest Guest => _guest ?? throw new InvalidOperationException("the guest has not been booted");

    /// <summary>Boots it on the left; returns when it has its addresses.</summary>
    internal static async Task<MigratingGuest> BootAsync(TwoHosts hosts, QemuOptions? card = null)
    {
        MigratingGuest guest = new(hosts, card ?? new QemuOptions());
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
    /// <param name="postcopy">It is to run there as soon as can be, with its memory still here.</param>
    /// <exception cref="MigrationFailedException">It does not work out; the guest is still here.</exception>
    internal async Task<MigrationReport> MigrateAsync(bool postcopy = false)
    {
        IBackend there = _hosts.Other(Host);
        (QemuGuest target, QemuMonitor incoming) = await StartQemuAsync(there, incoming: true);
        try
        {
            object address = new { uri = "unix:" + _folder[$"way{_qemus}"] };
            await AllowAsync(_monitor!, postcopy);
            await AllowAsync(incoming, postcopy);
            await incoming.RunAsync("migrate-incoming", address);
            await _monitor!.RunAsync("migrate", address);
            if (postcopy)
            {
                await ReachedAsync(_monitor, "active");
                await _monitor.RunAsync("migrate-start-postcopy");
                await ReachedAsync(_monitor, "postcopy-active");
            }

            await ReachedAsync(_monitor, "completed");
            await ReachedAsync(incoming, "completed");
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

    /// <summary>With post-copy, so slowly that most of memory is still to come when the guest runs there.</summary>
    private static async Task AllowAsync(QemuMonitor monitor, bool postcopy)
    {
        object[] capabilities =
        [
            new { capability = "events", state = true }, new { capability = "postcopy-ram", state = postcopy },
        ];
        await monitor.RunAsync("migrate-set-capabilities", new { capabilities });
        if (postcopy)
        {
            await monitor.RunAsync("migrate-set-parameters", new Dictionary<string, int>
            {
                ["max-bandwidth"] = BytesPerSecond,
                ["max-postcopy-bandwidth"] = BytesPerSecond,
            });
        }
    }

    private static async Task ReachedAsync(QemuMonitor monitor, string wanted)
    {
        string status;
        do
        {
            JsonElement change = await monitor.EventAsync("MIGRATION", Patience);
            status = change.GetProperty("status").GetString()!;
            if (status == "failed")
            {
                throw new MigrationFailedException();
            }
        }
        while (status != wanted);
    }

    private static MigrationReport ReportOf(JsonElement answer) => new(
        TimeSpan.FromMilliseconds(answer.GetProperty("total-time").GetInt64()),
        TimeSpan.FromMilliseconds(answer.GetProperty("downtime").GetInt64()),
        answer.GetProperty("ram").GetProperty("dirty-sync-count").GetInt64(),
        answer.GetProperty("ram").GetProperty("postcopy-requests").GetInt64());

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
            _card with { Newer = true, Monitor = path, Incoming = incoming });
        return (guest, await QemuMonitor.ConnectAsync(path));
    }
}

/// <summary>QEMU has given a migration up.</summary>
internal sealed class MigrationFailedException() : Exception("the migration failed");
