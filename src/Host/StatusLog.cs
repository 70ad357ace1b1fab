using System.Text.Json;
using Akka.Actor;
using Ringmaster.Actors;
using Ringmaster.Actors.Backend;
using Ringmaster.Actors.Device;
using Ringmaster.Native.Worker;
using Serilog;

namespace Ringmaster.Host;

/// <summary>What SIGUSR1 asks for: how each device and each pair fares, with all counters, as lines of the log.</summary>
internal static class StatusLog
{
    /// <summary>Writes a line for each device and one for each of its pairs.</summary>
    internal static async Task WriteAsync(RingmasterBackend backend)
    {
        try
        {
            foreach (DeviceEntry device in await backend.GetDevicesAsync())
            {
                await WriteAsync(backend, device.Name);
            }
        }
        catch (AskTimeoutException)
        {
            Log.Warning("the devices are not known at the moment: no answer");
        }
    }

    private static async Task WriteAsync(RingmasterBackend backend, string device)
    {
        try
        {
            DeviceSnapshot status = await backend.GetDeviceStatusAsync(device);
            Write(status, [.. (await backend.GetWorkersAsync(device)).Select(worker => worker.Counters)]);
        }
        catch (Exception error) when (error is AskTimeoutException or ArgumentException)
        {
            // It hangs in the kernel, or a reload has just removed it.
            Log.Warning("device {Device}: gives no answer", device);
        }
    }

    private static void Write(DeviceSnapshot status, IReadOnlyList<PairCounters> counters)
    {
        Log.Information(
            "device {Device}: {Phase}, link {Link}, {Sessions} front-ends so far, {Regions} memory regions",
            status.Name, Words(status.Phase), status.LinkUp ? "up" : "down", status.Sessions, status.MemoryRegions);
        foreach (PairStatus pair in status.Pairs)
        {
            Log.Information(
                "device {Device} pair {Pair}: {Health}, worker {Generation} on CPU {Cpu}, rx {Rx}, tx {Tx}: {Counters}",
                status.Name, pair.Pair, Words(pair.Health), pair.Generation, pair.Cpu?.ToString() ?? "any",
                Words(pair.Rx), Words(pair.Tx), Text(counters[pair.Pair]));
        }
    }

    private static string Text(PairCounters counters) => string.Join(
        ", ", Enum.GetValues<WorkerCounter>().Select(counter => $"{Words(counter)} {counters[counter]}"));

    private static string Words<T>(T value)
        where T : struct, Enum => JsonNamingPolicy.KebabCaseLower.ConvertName(value.ToString());
}
