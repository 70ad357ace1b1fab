using System.ComponentModel;
using System.Diagnostics;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;

namespace Ringmaster.Host.Demo;

/// <summary>
/// Finds a way to a network namespace of the demo's own: directly with CAP_SYS_ADMIN, else by starting the demo once more
/// as the root of a user namespace.
/// </summary>
internal static class DemoNamespace
{
    private const string InUserNamespace = "RINGMASTER_DEMO_IN_USER_NAMESPACE";
    private const string UserNamespace = "unshare";
    private const string AsRoot = "--map-root-user";

    /// <summary>The namespace. May replace this process by one that can make it.</summary>
    /// <param name="reason">When there is no way: what is missing and how to get it.</param>
    internal static PrivateNetwork? Open(out string reason)
    {
        try
        {
            reason = "";
            return new PrivateNetwork();
        }
        catch (LinuxException refused) when (refused.Error is Errno.EPERM)
        {
            reason = Environment.GetEnvironmentVariable(InUserNamespace) is null ? StartAgain() : refused.Message;
            reason = Advice(reason);
            return null;
        }
    }

    /// <summary>Does not return when it succeeds.</summary>
    private static string StartAgain()
    {
        if (WhyNoUserNamespace() is { } reason)
        {
            return reason;
        }

        string[] command = [UserNamespace, AsRoot, "--", "env", $"{InUserNamespace}=1", .. OwnCommand()];
        return $"{UserNamespace}: {ProcessImage.Replace(command)}";
    }

    private static string? WhyNoUserNamespace()
    {
        try
        {
            using Process probe = Process.Start(new ProcessStartInfo(UserNamespace, [AsRoot, "--net", "true"])
            {
                RedirectStandardError = true,
            })!;
            string complaint = probe.StandardError.ReadToEnd().Trim();
            probe.WaitForExit();
            return probe.ExitCode == 0 ? null : complaint;
        }
        catch (Win32Exception missing)
        {
            return $"{UserNamespace} (package util-linux): {missing.Message}";
        }
    }

    private static IEnumerable<string> OwnCommand()
    {
        string[] arguments = Environment.GetCommandLineArgs();
        string program = Environment.ProcessPath!;
        bool hosted = Path.GetFileNameWithoutExtension(program) == "dotnet";
        return hosted ? [program, .. arguments] : [program, .. arguments[1..]];
    }

    private static string Advice(string reason) => $"""
        the demo makes a network namespace of its own and a TAP interface in it. Missing: CAP_SYS_ADMIN and CAP_NET_ADMIN, and a
        user namespace, which would give both, cannot be made here either:
          {reason}
        Any one of these helps:
          run it as root:             sudo ringmaster demo
          allow user namespaces:      sudo sysctl -w kernel.unprivileged_userns_clone=1            (Debian)
                                      sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)
          in a container:             --cap-add SYS_ADMIN --cap-add NET_ADMIN --device /dev/net/tun
        """;
}
