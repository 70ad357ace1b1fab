using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests.Host;

/// <summary>The executable in a network namespace of its own, with a folder for its sockets and files.</summary>
internal sealed class HostFixture : IAsyncDisposable
{
    internal const int SIGHUP = 1;
    internal const int SIGINT = 2;
    internal const int SIGUSR1 = 10;
    internal const int SIGTERM = 15;

    internal static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    private const int F_SETFD = 2;

    private readonly TestNamespace _network;
    private readonly TemporaryFolder _folder = new();
    private readonly List<ManagedProcess> _processes = [];

    private HostFixture(TestNamespace network) => _network = network;

    /// <summary>Where the sample device listens in these tests.</summary>
    internal string SocketPath => _folder["net0.sock"];

    internal static async Task<HostFixture> CreateAsync() => new(await TestNamespace.CreateAsync());

    /// <summary>A path in the fixture's folder.</summary>
    internal string PathOf(string name) => _folder[name];

    /// <summary>Starts the executable without waiting for anything.</summary>
    internal ManagedProcess Start(params string[] arguments)
    {
        ManagedProcess process = _network.Start("ringmaster", RingmasterProcess.Executable, arguments);
        _processes.Add(process);
        return process;
    }

    /// <summary>Has a shell start the executable, <c>"$@"</c> in the script, with sockets as its fds from 3 on.</summary>
    internal ManagedProcess StartScript(string script, Socket[] sockets, params string[] arguments)
    {
        IEnumerable<string> moves = sockets.Select((socket, index) => (From: MakeInheritable(socket), To: 3 + index))
            .Select(fd => string.Create(CultureInfo.InvariantCulture, $"{fd.To}<&{fd.From} {fd.From}<&-"));
        ManagedProcess process = _network.Start(
            "ringmaster", "bash",
            ["-c", $"{script} {string.Join(' ', moves)}", "bash", RingmasterProcess.Executable, .. arguments]);
        _processes.Add(process);
        return process;
    }

    /// <summary>Starts it with the sample device at <see cref="SocketPath"/> and waits until that is up.</summary>
    internal async Task<ManagedProcess> StartUpAsync(params string[] arguments)
    {
        ManagedProcess process = Start([$"--socket-path={SocketPath}", .. arguments]);
        await process.LineAsync("device net0: up", Limit);
        return process;
    }

    /// <summary>The interfaces in the namespace, as <c>ip</c> shows them.</summary>
    internal Task<string> InterfacesAsync() => _network.ConfigureAsync("-brief", "address");

    /// <summary>Whether there is such an interface in the namespace.</summary>
    internal bool HasInterface(string name) => _network.CountersOf(name) is not null;

    /// <summary>A connection to a socket; fails when nobody listens.</summary>
    internal static async Task<Socket> ConnectAsync(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path)).WaitAsync(Limit);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>A socket that listens at a path; disposing it removes the file.</summary>
    internal static Socket Listen(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(path));
        socket.Listen();
        return socket;
    }

    /// <summary>Has the processes started from now on inherit a socket. Returns its number there.</summary>
    internal static int MakeInheritable(Socket socket)
    {
        int number = socket.SafeHandle.DangerousGetHandle().ToInt32();
        Assert.Equal(0, fcntl(number, F_SETFD, 0));
        return number;
    }

    /// <summary>A file that whoever opens it waits for somebody to write to.</summary>
    internal string MakeFifo(string name)
    {
        Assert.Equal(0, mkfifo(PathOf(name), 0x180));
        return PathOf(name);
    }

    internal static void Signal(ManagedProcess process, int signal) => Assert.Equal(0, kill(process.Id, signal));

    public async ValueTask DisposeAsync()
    {
        foreach (ManagedProcess process in _processes)
        {
            await process.DisposeAsync();
        }

        await _network.DisposeAsync();
        _folder.Dispose();
    }

    [DllImport("libc")]
    private static extern int kill(int process, int signal);

    [DllImport("libc")]
    private static extern int mkfifo([MarshalAs(UnmanagedType.LPUTF8Str)] string path, uint mode);

    [DllImport("libc")]
    private static extern int fcntl(int fd, int command, nint argument);
}
