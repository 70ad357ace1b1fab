using System.Globalization;
using System.Text.RegularExpressions;
using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests.Migration;

/// <summary>The host's <c>ping</c> of the guest, ten times a second, from begin to end.</summary>
internal sealed partial class PingSeries : IAsyncDisposable
{
    private const double Interval = 0.1;
    private readonly ManagedProcess _ping;

    private PingSeries(ManagedProcess ping) => _ping = ping;

    /// <summary>The longest time without an answer, to a tenth of a second.</summary>
    internal TimeSpan LongestGap
    {
        get
        {
            IEnumerable<Match> answers = _ping.LinesFrom(0).Select(line => Answer().Match(line));
            int[] numbers = [.. answers.Where(match => match.Success).Select(Number)];
            return TimeSpan.FromSeconds(Interval * numbers.Zip(numbers.Skip(1), (one, next) => next - one).Append(1).Max());
        }
    }

    /// <summary>Answers that came more than once.</summary>
    internal int Duplicates => _ping.LinesFrom(0).Count(line => line.Contains("DUP!", StringComparison.Ordinal));

    /// <summary>Starts it; returns with the first answer.</summary>
    internal static async Task<PingSeries> StartAsync(TestNamespace network)
    {
        PingSeries series = new(network.Start(
            "ping", "ping", "-n", "-i", Interval.ToString(CultureInfo.InvariantCulture), ServedGuest.GuestAddress));
        await series.AnswersAsync();
        return series;
    }

    /// <summary>Waits for one more answer.</summary>
    internal Task AnswersAsync() => _ping.LineAsync(Answer(), MigratingGuest.Patience, _ping.Mark);

    public ValueTask DisposeAsync() => _ping.DisposeAsync();

    private static int Number(Match match) => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"bytes from .* icmp_seq=(\d+)")]
    private static partial Regex Answer();
}
