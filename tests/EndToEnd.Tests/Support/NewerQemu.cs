using System.Security.Cryptography;
using System.Text;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// QEMU 10 of Debian 13, beside whatever the machine has: its packages and all that they depend on, downloaded from the mirror
/// that this machine's apt uses and unpacked into the <see cref="TestCache"/>. Nothing is installed, and no root directory is
/// changed: the program is started by the dynamic linker that came with it.
/// </summary>
/// <remarks>Guests that migrate are steady with it; with QEMU 7.2 some of them hang on the other side, vCPUs and all.</remarks>
internal static class NewerQemu
{
    private const string Release = "trixie";
    private const string Libraries = "usr/lib/x86_64-linux-gnu";
    private const string Keys = "/usr/share/keyrings/debian-archive-keyring.gpg";

    /// <summary>apt with an empty machine of its own, so that it fetches everything down to the C library.</summary>
    private const string Recipe =
        """
        set -e
        cd "$1"
        mkdir -p lists/partial cache/archives/partial
        : > status
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
        echo "deb [signed-by=$2] $mirror $3 main" > sources
        set -- -q -o "Dir::State=$PWD" -o "Dir::State::Lists=$PWD/lists" -o "Dir::State::status=$PWD/status" \
          -o "Dir::Cache=$PWD/cache" -o "Dir::Etc::SourceList=$PWD/sources" -o Dir::Etc::SourceParts=/dev/null \
          -o Acquire::Languages=none -o APT::Sandbox::User=root -o Acquire::Retries=2
        apt-get "$@" update
        apt-get "$@" -y --no-install-recommends --download-only install qemu-system-x86 seabios
        for package in cache/archives/*.deb; do
          dpkg -x "$package" result
        done
        """;

    private static readonly TimeSpan Timeout = TimeSpan.FromMinutes(3);

    internal static void RequireTools()
    {
        Require.Program("apt-get", "apt");
        Require.Program("dpkg", "dpkg");
        Require.Present(File.Exists(Keys), $"{Keys} is missing: `apt-get install debian-archive-keyring`");
    }

    /// <summary>The command line that starts it, without any argument of its own.</summary>
    internal static async Task<string[]> CommandAsync()
    {
        RequireTools();
        string recipe = Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(Recipe)))[..12];
        string root = await TestCache.GetAsync($"qemu-{Release}-{recipe}", DownloadAsync);
        return
        [
            $"{root}/usr/lib64/ld-linux-x86-64.so.2", "--library-path", $"{root}/{Libraries}:{root}/{Libraries}/pulseaudio",
            $"{root}/usr/bin/qemu-system-x86_64", "-L", $"{root}/usr/share/qemu", "-L", $"{root}/usr/share/seabios",
        ];
    }

    private static Task DownloadAsync(string work) =>
        ManagedProcess.RunAsync(Timeout, "sh", "-c", Recipe, "sh", work, Keys, Release);
}
