using System.Diagnostics;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// Waits for something that only asking again can tell (a kernel counter, a file). What announces itself is awaited
/// by its announcement instead (<see cref="ManagedProcess.LineAsync(string, TimeSpan, int)"/>).
/// </summary>
internal static class Eventually
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(5);

    /// <summary>Asks until the answer is the wanted one; the last answer is returned, wanted or not.</summary>
    internal static async Task<T> GetAsync<T>(Func<T> ask, Func<T, bool> wanted, TimeSpan timeout)
    {
        Stopwatch watch = Stopwatch.StartNew();
        using PeriodicTimer timer = new(Interval);
        T answer = ask();
        while (!wanted(answer) && watch.Elapsed < timeout)
        {
            await timer.WaitForNextTickAsync();
            answer = ask();
        }

        return answer;
    }

    /// <summary>Fails with the last answer when it does not become the expected one in time.</summary>
    internal static async Task EqualAsync<T>(T expected, Func<T> ask, TimeSpan timeout) =>
        Assert.Equal(expected, await GetAsync(ask, answer => EqualityComparer<T>.Default.Equals(answer, expected), timeout));
}
