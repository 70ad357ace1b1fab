using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker;

/// <summary>When a worker polls, and for how long.</summary>
public sealed class PollWindowSpec
{
    private const long Limit = 100;
    private const long First = 10;
    private readonly PollWindow _window = new(Limit, First);
    private long _now = 1000;

    [Fact]
    public void Without_a_limit_it_never_polls()
    {
        var window = new PollWindow(0, First);

        Assert.False(window.On);
        Assert.False(window.Continues(0));
        window.Woke(0);
        Assert.False(window.Continues(0));
    }

    [Fact]
    public void It_begins_with_sleep_and_grows_until_it_covers_the_gaps()
    {
        List<long> lengths = [];
        for (int i = 0; i < 5; i++)
        {
            lengths.Add(_window.Length);
            Gap(35);
        }

        Assert.Equal([0, 10, 20, 40, 40], lengths);
    }

    [Fact]
    public void It_grows_to_the_limit_and_no_further()
    {
        for (int i = 0; i < 10; i++)
        {
            Gap(Limit);
        }

        Assert.Equal(Limit, _window.Length);
    }

    [Fact]
    public void It_shrinks_to_nothing_where_polling_is_in_vain()
    {
        Gap(35);
        Gap(35);
        Gap(35);
        List<long> lengths = [];
        for (int i = 0; i < 4; i++)
        {
            lengths.Add(_window.Length);
            Gap(Limit + 1);
        }

        Assert.Equal([40, 20, 10, 0], lengths);
    }

    [Fact]
    public void An_idle_worker_polls_no_more_than_twice_its_limit_in_all()
    {
        for (int i = 0; i < 10; i++)
        {
            Gap(Limit);
        }

        long polled = 0;
        for (int i = 0; i < 100; i++)
        {
            polled += _window.Length;
            Gap(1_000_000);
        }

        Assert.True(polled <= 2 * Limit, $"polled for {polled}");
    }

    /// <summary>Nothing comes for some time; the window ends before it, or work is found while it is open.</summary>
    private void Gap(long length)
    {
        Assert.Equal(_window.Length > 0, _window.Continues(_now));
        bool found = _window.Continues(_now + length);
        _now += length;
        if (!found)
        {
            _window.Woke(_now);
        }

        _window.Busy();
    }
}
