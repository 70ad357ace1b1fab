namespace Ringmaster.Actors.Tests.Support;

/// <summary>What the actor systems of all tests are configured with, and how long whatever must happen is waited for.</summary>
internal static class TestConfiguration
{
    /// <summary>By itself the TestKit waits 3 s, in which an actor may have had no turn where the machine is busy.</summary>
    internal const string Patient = """
        akka.test {
          single-expect-default = 20s
          filter-leeway = 20s
          startup-timeout = 20s
        }
        """;

    /// <summary>Time stands still unless a test moves it.</summary>
    internal const string VirtualTime = $$"""
        {{Patient}}
        akka.scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit"
        """;

    /// <summary>Longer than anything takes on a machine that does something else besides.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
}
