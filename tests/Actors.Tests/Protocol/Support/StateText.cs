using System.Text;
using Ringmaster.Actors.Protocol;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>A session's state as text, so that two can be compared whole and a difference can be read.</summary>
internal static class StateText
{
    internal static string Of(SessionState state)
    {
        var text = new StringBuilder();
        text.AppendLine($"features {state.Features} refused {state.FeaturesRefused}");
        text.AppendLine($"protocol {state.ProtocolFeatures}");
        text.AppendLine($"status {state.Status} needs reset {state.NeedsReset} link {state.LinkUp}");
        text.AppendLine($"mac {state.Mac} mtu {state.Mtu}");
        text.AppendLine($"regions {string.Join(", ", state.Regions)}");
        text.AppendLine($"log call {state.LogCall} back-end channel {state.BackendChannel} transfer {state.Transfer}");
        for (int ring = 0; ring < state.Rings.Length; ring++)
        {
            text.AppendLine($"ring {ring}: {state.Rings[ring]}");
            text.AppendLine($"plan {ring}: {state.PlanOf(ring)}");
        }

        return text.ToString();
    }
}
