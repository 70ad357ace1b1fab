using System.Diagnostics;
using System.Threading.Channels;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Tap;

/// <summary>What an interface tells of its link.</summary>
public sealed class LinkWatchSpec : IDisposable
{
    private readonly ReadinessLoop _loop = new("test-loop");
    private readonly Channel<bool> _calls = Channel.CreateUnbounded<bool>();

    public void Dispose() => _loop.Dispose();

    [SkippableFact]
    public async Task Down_and_up_are_told_of_and_the_link_says_which()
    {
        Requirement.NetworkNamespaces();
        using var fixture = new TapFixture();
        using TapInterface tap = fixture.Open(TapFixture.Options());
        using IDisposable watch = tap.WatchLink(_loop, Called);
        Assert.Equal(LinkState.Up, tap.ReadLink());

        SetUp(fixture, "t0", up: false);
        await CalledUntilAsync(() => tap.ReadLink() == LinkState.Down);

        SetUp(fixture, "t0", up: true);
        await CalledUntilAsync(() => tap.ReadLink() == LinkState.Up);
    }

    [SkippableFact]
    public async Task Nobody_is_woken_for_another_interface()
    {
        Requirement.NetworkNamespaces();
        using var fixture = new TapFixture();
        using TapInterface tap = fixture.Open(TapFixture.Options());
        using TapInterface other = fixture.Open(TapFixture.Options("t1"));
        using IDisposable watch = tap.WatchLink(_loop, Called);
        using IDisposable otherWatch = other.WatchLink(_loop, () => _calls.Writer.TryWrite(false));

        SetUp(fixture, "t1", up: false);
        Assert.False(await _calls.Reader.ReadAsync().AsTask().Soon());
        SetUp(fixture, "t0", up: false);
        while (!await _calls.Reader.ReadAsync().AsTask().Soon())
        {
            // More of the other one.
        }

        Assert.Equal(LinkState.Down, tap.ReadLink());
    }

    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_interface_that_was_deleted_is_gone(bool attached)
    {
        Requirement.NetworkNamespaces();
        using var fixture = new TapFixture();
        using TapInterface tap = fixture.Open(TapFixture.Options(queues: 2));
        SetAttached(tap, attached);
        Assert.NotEqual(LinkState.Gone, tap.ReadLink());

        fixture.Net.Run(() => Run("ip", "link", "delete", "t0"));

        Assert.Equal(LinkState.Gone, tap.ReadLink());
    }

    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void One_that_was_moved_to_another_network_namespace_is_not(bool attached)
    {
        Requirement.NetworkNamespaces();
        using var fixture = new TapFixture();
        using var other = new TemporaryNetwork();
        using TapInterface tap = fixture.Open(TapFixture.Options(queues: 2));
        SetAttached(tap, attached);

        fixture.Net.Run(() => Run("ip", "link", "set", "t0", "netns", other.Path));

        Assert.Equal(LinkState.Down, tap.ReadLink());
    }

    private static void SetAttached(TapInterface tap, bool attached)
    {
        tap.SetQueueAttached(0, attached);
        tap.SetQueueAttached(1, attached);
    }

    private static void Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(program, arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }

    private static void SetUp(TapFixture fixture, string name, bool up) => fixture.Net.Run(() =>
    {
        using var netlink = new Rtnetlink();
        netlink.SetUp(netlink.Find(name)!, up);
    });

    private async Task CalledUntilAsync(Func<bool> condition)
    {
        do
        {
            Assert.True(await _calls.Reader.ReadAsync().AsTask().Soon());
        }
        while (!condition());
    }

    private void Called() => _calls.Writer.TryWrite(true);
}
