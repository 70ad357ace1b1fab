using Ringmaster.Actors.Settings;
using Ringmaster.Host.Configuration;

namespace Ringmaster.Host.Commands;

/// <summary>Lets a command run only with settings that are good, and tells the operator why otherwise.</summary>
internal static class SettingsGate
{
    /// <returns>What the command returns, or <see cref="ExitCode.Configuration"/>.</returns>
    internal static T With<T>(Func<BackendSettings> load, Func<BackendSettings, T> command, Func<int, T> refused)
    {
        BackendSettings settings;
        try
        {
            settings = load();
        }
        catch (SettingsException exception)
        {
            Console.Error.WriteLine("ringmaster: the configuration cannot be used:");
            foreach (SettingsError error in exception.Errors)
            {
                Console.Error.WriteLine($"  {error}");
            }

            return refused(ExitCode.Configuration);
        }
        catch (ConfigurationException exception)
        {
            Console.Error.WriteLine($"ringmaster: {exception.Message}");
            return refused(ExitCode.Configuration);
        }

        return command(settings);
    }

    /// <inheritdoc cref="With{T}(Func{BackendSettings}, Func{BackendSettings, T}, Func{int, T})"/>
    internal static int With(Func<BackendSettings> load, Func<BackendSettings, int> command) => With(load, command, code => code);
}
