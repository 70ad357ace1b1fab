namespace Ringmaster.Host;

/// <summary>What the process tells its parent.</summary>
internal static class ExitCode
{
    /// <summary>All went as asked, a stop by signal included.</summary>
    internal const int Success = 0;

    /// <summary>The configuration is good, but something failed while it was carried out.</summary>
    internal const int Failure = 1;

    /// <summary>The command line or the configuration cannot be used; nothing was opened.</summary>
    internal const int Configuration = 2;
}
