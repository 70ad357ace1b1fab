using Ringmaster.EndToEnd.Tests.Support;
using static Ringmaster.EndToEnd.Tests.Support.ServedGuest;

namespace Ringmaster.EndToEnd.Tests.Migration;

/// <summary>
/// Two machines on a switch, each a network namespace with a bridge and a Ringmaster whose TAP is in the bridge; a cable joins
/// the bridges. The left one has the host's address. A guest lives on either.
/// </summary>
internal sealed class TwoHosts : IAsyncDisposable
{
    /// <summary>The bridge, in either namespace, as the machine itself sees it: frames to everybody come in there.</summary>
    internal const string Bridge = "bridge0";

    /// <summary>The end of the cable, in either namespace.</summary>
    internal const string Cable = "cable";

    private readonly List<IAsyncDisposable> _owned = [];
    private readonly List<IBackend> _backends = [];

    private TwoHosts()
    {
    }

    internal IBackend Left => _backends[0];

    internal IBackend Right => _backends[1];

    internal static void RequirePrograms()
    {
        Require.Root();
        Backends.SkipForDpdk("the migration is Ringmaster's");
        Require.Program("ping", "iputils-ping");
        NewerQemu.RequireTools();
        GuestImage.RequireTools();
    }

    internal static async Task<TwoHosts> StartAsync()
    {
        TwoHosts hosts = new();
        try
        {
            await hosts.JoinAsync();
            return hosts;
        }
        catch
        {
            await hosts.DisposeAsync();
            throw;
        }
    }

    /// <summary>The machine that a guest of this one migrates to.</summary>
    internal IBackend Other(IBackend backend) => backend == Left ? Right : Left;

    public async ValueTask DisposeAsync()
    {
        foreach (IAsyncDisposable each in Enumerable.Reverse(_owned))
        {
            await each.DisposeAsync();
        }
    }

    private async Task JoinAsync()
    {
        TestNamespace left = Own(await TestNamespace.CreateAsync());
        TestNamespace right = Own(await TestNamespace.CreateAsync());
        await left.ConfigureAsync("link", "add", Cable, "type", "veth", "peer", "name", Cable, "netns", right.Name);
        foreach (TestNamespace each in new[] { left, right })
        {
            await each.ConfigureAsync("link", "add", Bridge, "type", "bridge");
            await each.ConfigureAsync("link", "set", Cable, "master", Bridge, "up");
            await each.ConfigureAsync("link", "set", Bridge, "up");
            IBackend backend = Own(await Backends.StartAsync(each, new BackendOptions { QueuePairs = 2 }));
            _backends.Add(backend);
            await each.ConfigureAsync("link", "set", backend.Tap, "master", Bridge, "up");
        }

        await left.ConfigureAsync("addr", "add", HostAddress + "/24", "dev", Bridge);
    }

    private T Own<T>(T resource)
        where T : IAsyncDisposable
    {
        _owned.Add(resource);
        return resource;
    }
}
