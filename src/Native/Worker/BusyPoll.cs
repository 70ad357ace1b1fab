namespace Ringmaster.Native.Worker;

/// <summary>Whether a worker without work looks for some before it sleeps (see <see cref="PollWindow"/>).</summary>
/// <param name="Limit">The longest search; zero = it sleeps at once.</param>
/// <param name="OnlyForAnswers">
/// True: it searches only while few frames go to and fro in turn, as questions and answers do. False: whenever searches find
/// something.
/// </param>
public readonly record struct BusyPoll(TimeSpan Limit, bool OnlyForAnswers = false)
{
    /// <summary>It sleeps at once, always.</summary>
    public static BusyPoll Off => default;

    /// <summary>
    /// Searches for answers, for up to 50 microseconds: some times what it takes to be woken, and less than it takes to answer
    /// from beyond a network.
    /// </summary>
    public static BusyPoll Auto { get; } = new(TimeSpan.FromMicroseconds(50), OnlyForAnswers: true);
}
