using System.Diagnostics;
using Ringmaster.Native.Driver;

namespace Ringmaster.Bench.Scaling;

/// <summary>One connected guest for each device of a back-end, all rings started.</summary>
internal sealed class Guests : IDisposable
{
    // Small buffers and rings: what is measured is the back-end, and all guests live in this process.
    private const int QueueSize = 64;
    private const int BufferSize = 2048;

    private readonly List<VirtioNetDriver> _drivers = [];

    private Guests(Backend backend)
    {
        var options = new VirtioNetOptions
        {
            Pairs = backend.Size.Pairs,
            QueueSize = QueueSize,
            TransmitBufferSize = BufferSize,
            ReceiveBufferSize = BufferSize,
        };
        long start = Stopwatch.GetTimestamp();
        for (int device = 0; device < backend.Size.Devices; device++)
        {
            _drivers.Add(VirtioNetDriver.Start(backend.Connect(device), options));
        }

        Connect = Stopwatch.GetElapsedTime(start) / backend.Size.Devices;
    }

    /// <summary>The mean time of one guest from connect() to all its rings running, one guest after the other.</summary>
    internal TimeSpan Connect { get; }

    internal static Guests ConnectAll(Backend backend) => new(backend);

    public void Dispose() => _drivers.ForEach(driver => driver.Dispose());
}
