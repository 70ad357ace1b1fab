using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Worker;

/// <summary>
/// Commands for one worker: any thread posts without a lock, the worker's thread takes. An eventfd wakes a sleeping
/// worker; a busy one sees <see cref="HasPending"/> between batches, and a post to it costs no system call but the first.
/// </summary>
internal sealed class Mailbox : IDisposable
{
    private readonly ConcurrentQueue<WorkerCommand> _commands = new();
    private readonly EventFd _wakeUp = new();
    private int _signalled;

    /// <summary>Readable while commands may be waiting.</summary>
    internal OwnedFd Fd => _wakeUp.Fd;

    internal bool HasPending => Volatile.Read(ref _signalled) != 0;

    internal void Post(WorkerCommand command)
    {
        _commands.Enqueue(command);
        if (Interlocked.Exchange(ref _signalled, 1) == 0)
        {
            try
            {
                _wakeUp.Signal();
            }
            catch (ObjectDisposedException)
            {
                // The worker has ended and said so; its commands die with it.
            }
        }
    }

    /// <summary>
    /// The eventfd has woken the worker. It is emptied here too: a post may have said that there is a command, and wake only
    /// after that command was taken. The flag is left alone; a post whose wake-up ends here has set it.
    /// </summary>
    internal void Awoke() => _wakeUp.Drain();

    /// <summary>Before commands are taken: what is posted from here on signals again.</summary>
    internal void Acknowledge()
    {
        _wakeUp.Drain();

        // Full barrier: the flag is down before the queue is looked at, so a post in between is seen now or signals.
        Interlocked.Exchange(ref _signalled, 0);
    }

    internal bool TryTake([NotNullWhen(true)] out WorkerCommand? command) => _commands.TryDequeue(out command);

    public void Dispose() => _wakeUp.Dispose();
}
