namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// Starts the back-end under test: Ringmaster, or with <c>RINGMASTER_E2E_BACKEND=dpdk</c> DPDK's net_vhost + net_tap, which is
/// how the harness itself is put to the proof.
/// </summary>
internal static class Backends
{
    private static readonly string Chosen = Environment.GetEnvironmentVariable("RINGMASTER_E2E_BACKEND") ?? "ringmaster";

    internal static bool IsRingmaster => Chosen == "ringmaster";

    /// <summary>Leaves out what DPDK's back-end is known not to do.</summary>
    internal static void SkipForDpdk(string reason) => Skip.IfNot(IsRingmaster, reason);

    internal static async Task<IBackend> StartAsync(TestNamespace network, BackendOptions options) => Chosen switch
    {
        "ringmaster" => await RingmasterProcess.StartAsync(network, options),
        "dpdk" => await DpdkBackend.StartAsync(network, options),
        _ => throw new InvalidOperationException($"RINGMASTER_E2E_BACKEND is {Chosen}; it may be ringmaster or dpdk"),
    };
}
