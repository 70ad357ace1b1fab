namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>A folder for sockets and settings, short enough for a Unix socket's 107 bytes, removed at the end.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("rm-e2e-");

    internal string this[string name] => Path.Combine(_folder.FullName, name);

    public void Dispose() => _folder.Delete(recursive: true);
}
