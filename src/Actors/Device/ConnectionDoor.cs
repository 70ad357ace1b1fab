using Ringmaster.Native.Linux;

namespace Ringmaster.Actors.Device;

/// <summary>One connection that the process was started with; nobody comes after it.</summary>
internal sealed class ConnectionDoor : FrontendDoor
{
    private readonly Action<DoorAnswer> _onAnswer;
    private OwnedFd? _connection;

    /// <param name="connection">From here on owned by the door.</param>
    /// <param name="number">Its number when the process was started.</param>
    /// <param name="onAnswer">See <see cref="FrontendDoor.Open"/>.</param>
    internal ConnectionDoor(OwnedFd connection, int number, Action<DoorAnswer> onAnswer)
    {
        _connection = connection;
        _onAnswer = onAnswer;
        Description = $"the front-end is connected as fd {number}";
    }

    internal override string Description { get; }

    internal override bool Exhausted => _connection is null;

    internal override void Await()
    {
        if (_connection is not null)
        {
            _onAnswer(FrontendKnocked.Instance);
        }
    }

    internal override OwnedFd? TryAccept()
    {
        OwnedFd? connection = _connection;
        _connection = null;
        return connection;
    }

    public override void Dispose() => _connection?.Dispose();
}
