using System.Diagnostics;

namespace Ringmaster.Native.Tests.Support;

/// <summary>Waits for something that shows itself only when looked at.</summary>
internal static class Eventually
{
    /// <summary>Looks again and again until it is so; fails the test when that takes too long.</summary>
    internal static async Task True(Func<bool> condition)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Waiting.Limit, "it did not come true in time");
            await Task.Yield();
        }
    }
}
