using Ringmaster.Actors.Device;
using Ringmaster.Actors.Settings;
using Ringmaster.Actors.Tests.Support;

namespace Ringmaster.Actors.Tests.Device;

public sealed class RestartBudgetSpec
{
    private static readonly RestartSettings Settings = TestDevices.Restart with
    {
        MaxRestarts = 4,
        Window = TimeSpan.FromSeconds(60),
        MinBackoff = TimeSpan.FromMilliseconds(100),
        MaxBackoff = TimeSpan.FromMilliseconds(350),
    };

    [Fact]
    public void Each_restart_waits_twice_as_long_as_the_one_before_up_to_a_bound()
    {
        var budget = new RestartBudget(Settings);
        TimeSpan?[] delays = [.. Enumerable.Range(0, 4).Select(_ => budget.Spend(TimeSpan.Zero))];
        Assert.Equal([100, 200, 350, 350], delays.Select(delay => delay!.Value.TotalMilliseconds));
    }

    [Fact]
    public void The_budget_is_used_up_after_the_last_restart()
    {
        var budget = new RestartBudget(Settings);
        Assert.All(Enumerable.Range(0, 4), _ => Assert.NotNull(budget.Spend(TimeSpan.Zero)));
        Assert.Null(budget.Spend(TimeSpan.FromSeconds(59)));
    }

    [Fact]
    public void Restarts_leave_the_window_one_by_one()
    {
        var budget = new RestartBudget(Settings);
        for (int second = 0; second < 40; second += 10)
        {
            Assert.NotNull(budget.Spend(TimeSpan.FromSeconds(second)));
        }

        Assert.Null(budget.Spend(TimeSpan.FromSeconds(59)));
        Assert.NotNull(budget.Spend(TimeSpan.FromSeconds(60)));
        Assert.Null(budget.Spend(TimeSpan.FromSeconds(69)));
    }

    [Fact]
    public void With_no_restarts_allowed_the_first_failure_is_the_last() =>
        Assert.Null(new RestartBudget(Settings with { MaxRestarts = 0 }).Spend(TimeSpan.Zero));

    [Fact]
    public void A_fresh_chance_is_a_full_budget()
    {
        var budget = new RestartBudget(Settings with { MaxRestarts = 1 });
        Assert.NotNull(budget.Spend(TimeSpan.Zero));
        Assert.Null(budget.Spend(TimeSpan.Zero));
        budget.Reset();
        Assert.Equal(Settings.MinBackoff, budget.Spend(TimeSpan.Zero));
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 2)]
    [InlineData(5, 16)]
    [InlineData(40, 350)]
    public void Without_a_first_wait_the_later_ones_still_grow(int attempt, int milliseconds) =>
        Assert.Equal(milliseconds, Backoff.Delay(TimeSpan.Zero, Settings.MaxBackoff, attempt).TotalMilliseconds);

    [Theory]
    [InlineData(1, 10)]
    [InlineData(5, 16)]
    [InlineData(40, 350)]
    public void What_is_tried_for_ever_is_never_tried_without_a_pause(int attempt, int milliseconds) =>
        Assert.Equal(milliseconds, Backoff.ForEver(Settings with { MinBackoff = TimeSpan.Zero }, attempt).TotalMilliseconds);
}
