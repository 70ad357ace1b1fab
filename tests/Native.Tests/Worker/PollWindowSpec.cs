using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker;

/// <summary>When a worker polls, and for how long.</summary>
public sealed class PollWindowSpec
{
    private const long Limit = 100;
    private const long First = 10;
    private readonly PollWindow _window = new(Limit, First, onlyForAnswers: false);
    private readonly PollWindow _answers = new(Limit, First, onlyForAnswers: true);
    private long _now = 1000;
    private long _sent;
    private long _received;

    [Fact]
    public void Without_a_limit_it_never_polls()
    {
        var window = new PollWindow(0, First, onlyForAnswers: false);

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

    [Fact]
    public void A_wake_without_work_does_not_count()
    {
        Gap(35);
        Assert.True(_window.Continues(_now));
        for (int i = 1; i < 10; i++)
        {
            _window.Woke(_now + (i * Limit));
            Assert.False(_window.Continues(_now + (i * Limit)));
        }

        Assert.Equal(First, _window.Length);
    }

    [Fact]
    public void Only_for_answers_it_grows_while_frames_go_to_and_fro()
    {
        List<long> lengths = [];
        for (int i = 0; i < 3; i++)
        {
            Gap(_answers, 35, sent: 1, received: 0);
            lengths.Add(_answers.Length);
            Gap(_answers, 35, sent: 0, received: 2);
            lengths.Add(_answers.Length);
        }

        Assert.Equal([0, 10, 20, 40, 40, 40], lengths);
    }

    [Theory]
    [InlineData(1, 0, 1, 0)]
    [InlineData(0, 1, 0, 1)]
    [InlineData(1, 0, 0, 5)]
    [InlineData(5, 0, 0, 1)]
    [InlineData(64, 0, 0, 64)]
    [InlineData(0, 0, 0, 0)]
    public void Only_for_answers_a_stream_is_not_polled_for(long sent, long received, long thenSent, long thenReceived)
    {
        for (int i = 0; i < 10; i++)
        {
            Gap(_answers, 35, sent, received);
            Gap(_answers, 35, thenSent, thenReceived);
        }

        Assert.Equal(0, _answers.Length);
    }

    [Fact]
    public void Only_for_answers_it_shrinks_when_questions_and_answers_become_a_stream()
    {
        Answers(6);
        Assert.Equal(40, _answers.Length);

        List<long> lengths = [];
        for (int i = 0; i < 3; i++)
        {
            Gap(_answers, 15, sent: 1, received: 0);
            lengths.Add(_answers.Length);
        }

        Assert.Equal([40, 20, 10], lengths);
    }

    [Fact]
    public void All_that_is_moved_between_two_waits_is_one_question()
    {
        Answers(6);
        Gap(_answers, 15, sent: 4, received: 0);
        Move(_answers, sent: 4, received: 0);

        Gap(_answers, 15, sent: 0, received: 1);

        Assert.Equal(20, _answers.Length);
    }

    private void Answers(int count)
    {
        for (int i = 0; i < count; i++)
        {
            Gap(_answers, 35, sent: 1 - (i % 2), received: i % 2);
        }
    }

    private void Gap(long length) => Gap(_window, length, sent: 1, received: 0);

    /// <summary>Nothing comes for some time; the window ends before it, or work is found while it is open.</summary>
    private void Gap(PollWindow window, long length, long sent, long received)
    {
        Assert.Equal(window.Length > 0, window.Continues(_now));
        bool found = window.Continues(_now + length);
        _now += length;
        if (!found)
        {
            window.Woke(_now);
        }

        Move(window, sent, received);
    }

    private void Move(PollWindow window, long sent, long received)
    {
        _sent += sent;
        _received += received;
        window.Busy(_sent, _received);
    }
}
