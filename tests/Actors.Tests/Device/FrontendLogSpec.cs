using Akka.Event;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>No front-end can fill the log, whatever it does again and again.</summary>
public sealed class FrontendLogSpec() : DeviceTest("INFO")
{
    private const string Notice = "its front-end causes too many lines";

    private readonly Record _record = new();
    private FrontendLog? _log;
    private TimeSpan _now = TimeSpan.FromHours(1);

    [Fact]
    public void A_device_has_so_many_lines_and_some_more_as_time_passes()
    {
        Say(FrontendLog.Burst + 100);
        Assert.Equal((FrontendLog.Burst, 1), (Lines(LogLevel.InfoLevel), Lines(LogLevel.WarningLevel)));
        Assert.Equal(100, Lines(LogLevel.DebugLevel));

        _now += 5 * FrontendLog.Refill;
        Say(100);

        Assert.Equal((FrontendLog.Burst + 5, 1), (Lines(LogLevel.InfoLevel), Lines(LogLevel.WarningLevel)));
    }

    [Fact]
    public void When_it_was_quiet_for_long_there_are_as_many_again_and_another_notice()
    {
        Say(FrontendLog.Burst + 100);
        _now += 2 * FrontendLog.Burst * FrontendLog.Refill;
        Say(FrontendLog.Burst + 100);

        Assert.Equal((2 * FrontendLog.Burst, 2), (Lines(LogLevel.InfoLevel), Lines(LogLevel.WarningLevel)));
    }

    [Fact]
    public async Task A_front_end_that_turns_its_ring_on_and_off_is_not_told_of_for_ever()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        await EventFilter.Warning(contains: Notice).ExpectAsync(1, async () =>
        {
            // More than there are, for there is one more each second that this takes.
            for (int i = 0; i < FrontendLog.Burst + 200; i++)
            {
                Assert.Equal(0UL, await frontEnd.EnableRingAsync(0, on: i % 2 != 0));
            }
        });
    }

    [Fact]
    public async Task Nor_are_front_ends_that_come_and_go_and_are_refused()
    {
        StartDevice();
        await EventFilter.Warning(contains: Notice).ExpectAsync(1, async () =>
        {
            for (int session = 0; session <= FrontendLog.Burst / 20; session++)
            {
                using FrontEnd frontEnd = Connect();
                for (int i = 0; i < 20; i++)
                {
                    frontEnd.Send((RequestCode)999);
                }

                await frontEnd.SyncAsync();
            }
        });
    }

    private void Say(int times)
    {
        _log ??= new FrontendLog(_record, "net0", () => _now);
        for (int i = 0; i < times; i++)
        {
            _log.Info("again, {Number}", i);
        }
    }

    private int Lines(LogLevel level) => _record.Lines.Count(each => each == level);

    /// <summary>Keeps the levels of what is logged.</summary>
    private sealed class Record : ILoggingAdapter
    {
        internal List<LogLevel> Lines { get; } = [];

        public ILogMessageFormatter Formatter => SemanticLogMessageFormatter.Instance;

        public bool IsDebugEnabled => true;

        public bool IsInfoEnabled => true;

        public bool IsWarningEnabled => true;

        public bool IsErrorEnabled => true;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log(LogLevel logLevel, Exception? cause, LogMessage message) => Lines.Add(logLevel);

        public void Log(LogLevel logLevel, Exception? cause, string format) => Lines.Add(logLevel);
    }
}
