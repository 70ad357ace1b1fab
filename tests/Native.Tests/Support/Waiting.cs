namespace Ringmaster.Native.Tests.Support;

/// <summary>Limits how long a test waits for something that is to happen in another thread.</summary>
internal static class Waiting
{
    internal static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    /// <summary>The result, or a <see cref="TimeoutException"/>.</summary>
    internal static Task<T> Soon<T>(this Task<T> task) => task.WaitAsync(Limit);

    /// <summary>The end of the task, or a <see cref="TimeoutException"/>.</summary>
    internal static Task Soon(this Task task) => task.WaitAsync(Limit);
}
