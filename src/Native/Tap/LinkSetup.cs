using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Tap;

/// <summary>
/// Gives an interface the MAC, MTU, bridge and addresses that its options ask for, and can take it all back: an
/// interface that was there before must look the same after a failure.
/// </summary>
internal sealed class LinkSetup
{
    private readonly Rtnetlink _netlink;
    private readonly LinkInfo _before;
    private readonly List<IpPrefix> _added = [];

    /// <summary>Remembers how the interface is now.</summary>
    internal LinkSetup(Rtnetlink netlink, LinkInfo before)
    {
        _netlink = netlink;
        _before = before;
    }

    /// <summary>Sets everything, the interface up last but for the addresses, whose routes need it up.</summary>
    /// <exception cref="LinuxException">Something was refused. What was set until then is still set.</exception>
    internal void Apply(TapOptions options)
    {
        if (options.HostMac is { } mac && !_before.Address.AsSpan().SequenceEqual(mac.ToArray()))
        {
            _netlink.SetAddress(_before, mac.ToArray());
        }

        if (options.Mtu is { } mtu)
        {
            _netlink.SetMtu(_before, mtu);
        }

        if (options.Bridge is { } bridge)
        {
            LinkInfo master = _netlink.Find(bridge)
                ?? throw new LinuxException($"rtnetlink(let {_before.Name} join {bridge})", Errno.ENODEV, "no such bridge");
            _netlink.SetMaster(_before, master.Index);
        }

        _netlink.SetUp(_before, up: true);
        foreach (IpPrefix prefix in options.Addresses)
        {
            if (_netlink.AddAddress(_before, prefix.Address, prefix.Length))
            {
                _added.Add(prefix);
            }
        }
    }

    /// <summary>Puts back what <see cref="Apply"/> has changed so far.</summary>
    internal void Undo()
    {
        LinkInfo? now = _netlink.Find(_before.Name);
        if (now is null || now.Index != _before.Index)
        {
            return;
        }

        _added.ForEach(prefix => _netlink.RemoveAddress(_before, prefix.Address, prefix.Length));
        if (now.Up != _before.Up)
        {
            _netlink.SetUp(_before, _before.Up);
        }

        if (now.Master != _before.Master)
        {
            _netlink.SetMaster(_before, _before.Master);
        }

        if (now.Mtu != _before.Mtu)
        {
            _netlink.SetMtu(_before, _before.Mtu);
        }

        if (!now.Address.AsSpan().SequenceEqual(_before.Address))
        {
            _netlink.SetAddress(_before, _before.Address);
        }
    }
}
