using System.CommandLine;
using Ringmaster.Actors.Settings;

namespace Ringmaster.Host.Commands;

/// <summary><c>ringmaster check</c>: prints the configuration in force, or everything that is wrong with it.</summary>
internal static class CheckCommand
{
    internal static Command Create(ConfigurationOptions layers)
    {
        var command = new Command(
            "check", "Print the configuration that is in force, or everything that is wrong with it; open nothing.");
        layers.AddTo(command);
        command.SetAction(parsed => SettingsGate.With(() => layers.Load(parsed), Print));
        return command;
    }

    private static int Print(BackendSettings settings)
    {
        Console.Out.Write(SettingsText.Of(settings));
        return ExitCode.Success;
    }
}
