using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Fuzz;

/// <summary>What holds of a session's state whatever a front-end has sent.</summary>
public static class SessionRules
{
    /// <summary>Throws where the state breaks a rule of what was offered, of its fds, or of rings that it lets run.</summary>
    /// <param name="state">After a message.</param>
    /// <param name="maxQueueSize">What the session was begun with.</param>
    public static void Check(SessionState state, int maxQueueSize)
    {
        Assert.Equal(0ul, (ulong)(state.Features & ~state.Profile.OfferedFeatures));
        Assert.Equal(0ul, (ulong)(state.ProtocolFeatures & ~state.Profile.OfferedProtocolFeatures));
        Assert.True(state.Regions.Length <= VhostUserSession.MaxMemorySlots);
        Assert.All(state.Fds, fd => Assert.False(fd.IsClosed));
        for (int ring = 0; ring < state.Rings.Length; ring++)
        {
            if (state.PlanOf(ring) is { } plan)
            {
                Assert.True(state.Rings[ring].Started);
                Assert.True(int.IsPow2(plan.Size) || plan.Features.HasFlag(VirtioFeatures.RingPacked));
                Assert.InRange(plan.Size, 1, maxQueueSize);
                Assert.Null(RingLayout.Check(plan.Size, state.Rings[ring].Addresses!.Value, plan.Features));
            }
        }
    }
}
