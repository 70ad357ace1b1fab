using System.Net.Sockets;
using System.Text;
using Serilog;

namespace Ringmaster.Host;

/// <summary>
/// Tells the service manager how this process fares: the protocol of systemd's sd_notify(3), one datagram for each word to the
/// socket in NOTIFY_SOCKET. Without that variable it does nothing.
/// </summary>
internal sealed class ServiceManager
{
    private const string Variable = "NOTIFY_SOCKET";

    // Whoever does not read must not hold up the start or the end.
    private const int SendTimeoutMilliseconds = 1000;

    private readonly string? _socket;

    private ServiceManager(string? socket) => _socket = socket;

    /// <summary>Reads the variable, and takes it away so that no child of this process speaks for it.</summary>
    internal static ServiceManager Take()
    {
        string? socket = Environment.GetEnvironmentVariable(Variable);
        Environment.SetEnvironmentVariable(Variable, null);
        return new ServiceManager(string.IsNullOrEmpty(socket) ? null : socket);
    }

    /// <summary>All devices are up.</summary>
    internal void Ready() => Notify("READY=1");

    /// <summary>The process is about to end.</summary>
    internal void Stopping() => Notify("STOPPING=1");

    private void Notify(string word)
    {
        if (_socket is null)
        {
            return;
        }

        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified)
            {
                SendTimeout = SendTimeoutMilliseconds,
            };

            // A name that begins with @ is one in the abstract namespace, for which the kernel has a zero byte.
            string path = _socket[0] == '@' ? $"\0{_socket[1..]}" : _socket;
            socket.SendTo(Encoding.UTF8.GetBytes(word), new UnixDomainSocketEndPoint(path));
        }
        catch (Exception error) when (error is SocketException or ArgumentException)
        {
            Log.Warning("the service manager at {Socket} could not be told {Word}: {Reason}", _socket, word, error.Message);
        }
    }
}
