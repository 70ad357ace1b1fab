using System.Runtime.CompilerServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Worker;

/// <content>
/// Frames that are copied: laid out in order over the next free chains.
/// </content>
internal sealed unsafe partial class TapToGuest<TRing>
{
    private bool TryLayOut(byte* frame, int length)
    {
        int needed = length;
        int end = _next;
        while (needed > 0)
        {
            if (end == _popped && !TryPopMore())
            {
                return false;
            }

            ref Chain chain = ref _chains[end++];
            if (chain.Status == PopStatus.BadChain)
            {
                continue;
            }

            if (!_mergeable && (ulong)length > chain.Length)
            {
                return false;
            }

            needed -= (int)Math.Min((ulong)needed, chain.Length);
        }

        int first = FirstGoodChain();
        CopyToChains(frame, length, first);
        ReturnBadChains(first);
        ReturnChains(first, length);
        return true;
    }

    private bool TryPopMore()
    {
        // The vectors of chains already returned are not needed any more, those of the rest are: they stay in place.
        return _space.HasRoom && TryPopChain();
    }

    /// <summary>The first chain not returned that is not bad; past the last one seen, where there is none.</summary>
    private int FirstGoodChain()
    {
        int chain = _next;
        while (chain < _popped && _chains[chain].Status == PopStatus.BadChain)
        {
            chain++;
        }

        return chain;
    }

    private void CopyToChains(byte* frame, int length, int chain)
    {
        for (; length > 0; chain++)
        {
            ref Chain target = ref _chains[chain];
            if (target.Status == PopStatus.BadChain)
            {
                continue;
            }

            int left = (int)Math.Min((ulong)length, target.Length);
            length -= left;
            for (IoVec* vector = _space.Vectors + target.FirstVector; left > 0; vector++)
            {
                int part = (int)Math.Min((nuint)left, vector->Length);
                Unsafe.CopyBlockUnaligned(vector->Base, frame, (uint)part);
                frame += part;
                left -= part;
            }
        }
    }

    /// <summary>Slots of the chains seen that stay on the ring; bad ones before them go back at once.</summary>
    private int AvailableSlots() => SlotsFrom(FirstGoodChain());
}
