using System.Diagnostics;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Worker;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>
/// A guest changes descriptors while the device reads them, so that what is checked and what is used could differ. Whatever
/// the device sees, each chain comes back exactly once, in order, with no more bytes than it has room for (the driver's
/// account sees to that), and a fresh start finds all well.
/// </summary>
[Collection(HostileCollection.Name)]
public sealed class GuestRaceSpec(HostileBackend backend)
{
    private const ushort Next = DriverRing.FlagNext;
    private const ushort Indirect = DriverRing.FlagIndirect;
    private const int RingSize = 64;
    private const int Rounds = 3000;
    private const int MinRounds = 100;
    private static readonly TimeSpan RaceTime = TimeSpan.FromMilliseconds(500);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_table_that_changes_while_it_is_read_costs_no_more_than_its_chains(RingSide side, RingFormat format) =>
        backend.SurvivesAsync(() =>
        {
            using HostileGuest guest = HostileGuest.Connect(backend, side, format);
            ulong table = guest.Take(64);
            RawDescriptor[][] faces = [.. FacesOfTable(guest)];
            guest.WriteTable(table, faces[0]);
            using (new Flipper(turn => guest.WriteTable(table, faces[turn % faces.Length])))
            {
                OfferAgainAndAgain(guest, new RawDescriptor(table, 64, Indirect));
            }

            guest.RebootAndExchange();
        });

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_descriptor_that_changes_while_it_is_read_costs_no_more_than_its_chain(RingSide side, RingFormat format) =>
        backend.SurvivesAsync(() =>
        {
            using HostileGuest guest = HostileGuest.Connect(backend, side, format);
            RawDescriptor legal = guest.Buffer(HostileGuest.BufferSize);
            RawDescriptor[] faces =
            [
                legal,
                legal with { Length = uint.MaxValue },
                legal with { Address = HostileGuest.Nowhere },
                legal with { Address = HostileGuest.End - 1, Flags = guest.Illegal },
                legal with { Flags = (ushort)(guest.Legal | Next), Next = 50_000 },
                legal with { Flags = (ushort)(guest.Legal | Next), Next = RingSize - 1 },
            ];
            using (new Flipper(turn => WriteDescriptors(guest, faces[turn % faces.Length])))
            {
                OfferAgainAndAgain(guest, legal);
            }

            guest.RebootAndExchange();
        });

    private void OfferAgainAndAgain(HostileGuest guest, RawDescriptor chain)
    {
        bool frameWaits = false;
        long start = Stopwatch.GetTimestamp();
        for (int i = 1; i <= Rounds && (i < MinRounds || Stopwatch.GetElapsedTime(start) < RaceTime); i++)
        {
            Assert.True(guest.Ring.TryAddRaw([chain], -i), "the ring is full");
            guest.Publish();
            if (guest.Side == RingSide.Rx && !frameWaits)
            {
                guest.HostSends();
            }

            UsedChain used = guest.Collect();
            Assert.Equal(-i, used.Token);
            Assert.True(
                used.Length <= HostileGuest.BufferSize, $"{used.Length} bytes were written into {HostileGuest.BufferSize}");
            frameWaits = used.Length == 0;
        }
    }

    /// <summary>One legal chain and what an attacker would like the device to see half of.</summary>
    private static IEnumerable<RawDescriptor[]> FacesOfTable(HostileGuest guest)
    {
        RawDescriptor first = guest.Buffer(64, Next, 1);
        RawDescriptor second = guest.Buffer(512, Next, 2);
        RawDescriptor third = guest.Buffer(1024, Next, 3);
        RawDescriptor last = guest.Buffer(64);
        yield return [first, second, third, last];
        yield return [first, second with { Length = uint.MaxValue }, third, last];
        yield return [first, second with { Address = HostileGuest.Nowhere }, third, last];
        yield return [first with { Length = 1 }, second with { Address = HostileGuest.End - 1 }, third with { Next = 0 }, last];
        yield return [first, second with { Flags = guest.Illegal }, third with { Next = 50_000 }, last];
        yield return
        [
            first with { Flags = Indirect }, second, third with { Flags = Indirect },
            last with { Flags = (ushort)(guest.Legal | Next) },
        ];
    }

    /// <summary>
    /// Writes all descriptors of the ring. In a packed ring the device answers in the same place, so only the address, which it
    /// never writes, is changed there.
    /// </summary>
    private static void WriteDescriptors(HostileGuest guest, RawDescriptor face)
    {
        ulong table = guest.Ring.Addresses.Descriptors;
        for (int i = 0; i < RingSize; i++)
        {
            if (guest.Ring is SplitDriverRing split)
            {
                split.WriteDescriptor(i, face.Address, face.Length, face.Flags, (ushort)face.Next);
            }
            else
            {
                guest.Ram.WriteU64(table + (16 * (ulong)i), face.Address);
            }
        }
    }

    /// <summary>A thread that does one thing over and over until it is disposed.</summary>
    private sealed class Flipper : IDisposable
    {
        private readonly Thread _thread;
        private volatile bool _stop;

        internal Flipper(Action<int> flip)
        {
            _thread = new Thread(() =>
            {
                for (int turn = 0; !_stop; turn++)
                {
                    flip(turn);
                }
            })
            { Name = "flipper" };
            _thread.Start();
        }

        public void Dispose()
        {
            _stop = true;
            _thread.Join();
        }
    }
}
