namespace Ringmaster.Actors.Device;

/// <summary>
/// Runs what may block away from the actors, one piece after the other in the order given. What comes of it is piped back to the
/// actor as a message.
/// </summary>
internal sealed class SerialWork
{
    private Task _last = Task.CompletedTask;

    /// <summary>Queues a piece of work. It runs whatever became of the pieces before it.</summary>
    internal Task<T> Run<T>(Func<T> work)
    {
        Task<T> next = _last.ContinueWith(
            _ => work(),
            CancellationToken.None,
            TaskContinuationOptions.None,
            TaskScheduler.Default);
        _last = next;
        return next;
    }
}
