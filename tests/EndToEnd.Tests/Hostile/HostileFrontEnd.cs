using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>
/// A front-end that has negotiated everything that is offered (but GPA_ADDRESSES, with which its own addresses mean nothing,
/// and unless it is asked to, ACCESS_PLATFORM, with which they are no addresses of memory) and then sends what it likes. Each
/// refusal must come as an answer, close the descriptors that came along, and leave the session alive.
/// </summary>
internal sealed class HostileFrontEnd : IDisposable
{
    /// <summary>Version 1 and the reply flag.</summary>
    private const uint ReplyFlags = 5;

    private readonly HostileBackend _backend;
    private readonly VirtioFeatures _offered;

    /// <summary>Speaks over a connection.</summary>
    internal HostileFrontEnd(HostileBackend backend, FrontendClient client)
    {
        _backend = backend;
        _offered = client.GetFeatures();
        Client = client;
    }

    internal FrontendClient Client { get; }

    /// <summary>Connects and negotiates.</summary>
    /// <param name="backend">The back-end.</param>
    /// <param name="without">
    /// Protocol features that are not acknowledged although they are offered, nor are those that need them.
    /// </param>
    /// <param name="behindIommu">Whether ACCESS_PLATFORM is acknowledged.</param>
    internal static HostileFrontEnd Connect(
        HostileBackend backend, ProtocolFeatures without = ProtocolFeatures.None, bool behindIommu = false)
    {
        if (without.HasFlag(ProtocolFeatures.InflightShmfd))
        {
            without |= ProtocolFeatures.GetVringBaseInflight;
        }

        FrontendClient client = backend.ConnectClient();
        client.SetOwner();
        client.SetProtocolFeatures(client.GetProtocolFeatures() & ~(without | ProtocolFeatures.GpaAddresses));
        client.SetFeatures(client.GetFeatures() & ~(behindIommu ? VirtioFeatures.None : VirtioFeatures.AccessPlatform));
        return new HostileFrontEnd(backend, client);
    }

    public void Dispose() => Client.Dispose();

    /// <summary>The message is answered by a refusal.</summary>
    internal void ExpectRefusal(RequestCode request, byte[] payload, params OwnedFd[] fds)
    {
        int before = _backend.Descriptors;
        Client.Send((uint)request, payload, true, fds);
        using (FrontendReply reply = Client.Receive())
        {
            Assert.Equal((uint)request, reply.Request);
            Assert.Equal(ReplyFlags, reply.Flags);
            Assert.Empty(reply.Fds);
            AssertFailure(request, payload.Length, reply);
        }

        ExpectAlive();
        int after = before;
        bool closed = SpinWait.SpinUntil(() => (after = _backend.Descriptors) == before, HostileBackend.Patience);
        Assert.True(closed, $"{after - before} descriptors of a refused {request} were left open");
    }

    /// <summary>
    /// No answer was asked for, and none comes, but from a request that has a reply of its own: an empty one, or its own
    /// failure, so that nobody waits for ever. The session lives on.
    /// </summary>
    internal void ExpectSilentRefusal(RequestCode request, byte[] payload, params OwnedFd[] fds)
    {
        int before = _backend.Descriptors;
        Client.Send((uint)request, payload, false, fds);
        Client.Send((uint)RequestCode.GetFeatures, [], false);
        FrontendReply reply = Client.Receive();
        if (reply.Request == (uint)request && (HasFailure(request) || reply.Payload.All(b => b == 0)))
        {
            reply.Dispose();
            reply = Client.Receive();
        }

        using (reply)
        {
            Assert.Equal((uint)RequestCode.GetFeatures, reply.Request);
            Assert.Equal((ulong)_offered, reply.Number);
        }

        Assert.Equal(before, _backend.Descriptors);
    }

    /// <summary>The next question gets its answer, and nothing stands before it.</summary>
    internal void ExpectAlive() => Assert.Equal(_offered, Client.GetFeatures());

    private static bool HasFailure(RequestCode request) =>
        request is RequestCode.SetDeviceStateFd or RequestCode.CheckDeviceState;

    /// <summary>Everything except GET_CONFIG says no with a number; that one has a failure of its own: no bytes.</summary>
    private static void AssertFailure(RequestCode request, int size, FrontendReply reply)
    {
        if (request == RequestCode.GetConfig)
        {
            Assert.Equal(new byte[12], reply.Payload);
        }
        else
        {
            Assert.True(reply.Number != 0, $"{request} with {size} bytes was accepted");
        }
    }
}
