using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;

namespace Ringmaster.Actors.Tests.Support;

/// <summary>
/// A network namespace of the test's own. Where this process may make none, or no TAP in it, the test is skipped, or fails with
/// RINGMASTER_REQUIRE_ALL=1.
/// </summary>
internal static class TestNetwork
{
    internal static PrivateNetwork Create()
    {
        PrivateNetwork? network = null;
        try
        {
            network = new PrivateNetwork();
            TapInterface.Open(new TapOptions { Name = "probe", Queues = 1, NetworkNamespace = network.Path }).Dispose();
            return network;
        }
        catch (LinuxException e)
        {
            network?.Dispose();
            string reason =
                $"making a network namespace with a TAP failed: {e.Message}. Run as root, or: unshare -Ur dotnet test";
            Assert.True(Environment.GetEnvironmentVariable("RINGMASTER_REQUIRE_ALL") != "1", reason);
            Skip.If(true, reason);
            throw;
        }
    }
}
