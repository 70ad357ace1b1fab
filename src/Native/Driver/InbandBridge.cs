using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Driver;

/// <summary>
/// Turns the kicks of a driver into VRING_KICK messages and the back-end's VRING_CALL and VRING_ERR into what the driver waits
/// for: eventfds. It has a thread and, while it exists, the use of the connection.
/// </summary>
public sealed class InbandBridge : IDisposable
{
    private readonly VirtioNetDriver _driver;
    private readonly BackendInbox _inbox;
    private readonly EventFd _stop = new();
    private readonly EventFd[] _kicks;
    private readonly Thread _thread;
    private Exception? _failure;

    /// <summary>Starts the thread.</summary>
    /// <param name="driver">Its rings are started with <see cref="VirtioNetOptions.Inband"/>.</param>
    /// <param name="inbox">The back-end's requests; stays the caller's.</param>
    public InbandBridge(VirtioNetDriver driver, BackendInbox inbox)
    {
        _driver = driver;
        _inbox = inbox;
        _kicks = [.. driver.Pairs.SelectMany(pair => new[] { pair.RxKick, pair.TxKick })];
        _thread = new Thread(Main) { Name = "inband", IsBackground = true };
        _thread.Start();
    }

    /// <summary>VRING_CALL messages that came.</summary>
    public int Calls { get; private set; }

    /// <summary>Ends the thread; what went wrong in it is thrown here.</summary>
    public void Dispose()
    {
        _stop.Signal();
        _thread.Join();
        _stop.Dispose();
        if (_failure is { } failure)
        {
            throw new FrontendException($"in-band notifications: {failure.Message}");
        }
    }

    private void Main()
    {
        OwnedFd[] watched = [_stop.Fd, _inbox.Fd, .. _kicks.Select(kick => kick.Fd)];
        try
        {
            while (_stop.Drain() == 0)
            {
                FdWait.ForAny(watched, TimeSpan.FromSeconds(1));
                ForwardKicks();
                while (_inbox.TryReceive(TimeSpan.Zero) is { } request)
                {
                    using (request)
                    {
                        Deliver(request);
                    }
                }
            }
        }
        catch (Exception e) when (e is IOException or LinuxException)
        {
            _failure = e;
        }
    }

    private void ForwardKicks()
    {
        for (int ring = 0; ring < _kicks.Length; ring++)
        {
            if (_kicks[ring].Drain() != 0)
            {
                _driver.Client.KickVring(ring);
            }
        }
    }

    private void Deliver(FrontendReply request)
    {
        int ring = BitConverter.ToInt32(request.Payload);
        NetQueuePair pair = _driver.Pairs[ring / 2];
        switch ((BackendRequestCode)request.Request)
        {
            case BackendRequestCode.VringCall:
                Calls++;
                (ring % 2 == 0 ? pair.RxCall : pair.TxCall).Signal();
                break;
            case BackendRequestCode.VringErr:
                (ring % 2 == 0 ? pair.RxError : pair.TxError).Signal();
                break;
            default:
                throw new FrontendException($"request {request.Request} has nothing to do with rings");
        }

        _inbox.Answer(request);
    }
}
