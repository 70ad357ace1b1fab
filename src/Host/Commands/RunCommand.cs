using System.CommandLine;
using System.Runtime.InteropServices;
using Ringmaster.Actors;
using Ringmaster.Actors.Backend;
using Ringmaster.Actors.Settings;
using Ringmaster.Host.Configuration;
using Ringmaster.Host.Logging;
using Ringmaster.Native.Memory;
using Serilog;

namespace Ringmaster.Host.Commands;

/// <summary><c>ringmaster run</c>, the default: serves all devices until a signal comes.</summary>
internal static class RunCommand
{
    internal static Command Create(ConfigurationOptions layers)
    {
        var command = new Command(
            "run",
            "Serve all devices of the configuration until SIGTERM or SIGINT; SIGHUP reads it again, SIGUSR1 logs all counters. "
            + "The default command.");
        layers.AddTo(command);
        SetAction(command, layers);
        return command;
    }

    internal static void SetAction(Command command, ConfigurationOptions layers) => command.SetAction(parsed =>
    {
        var activation = SocketActivation.Take();
        BackendSettings Load() => layers.NamesSocket(parsed) ? layers.Load(parsed) : activation.ApplyTo(layers.Load(parsed));
        return SettingsGate.With(Load, settings => RunAsync(settings, Load), Task.FromResult);
    });

    private static async Task<int> RunAsync(BackendSettings settings, Func<BackendSettings> load)
    {
        var manager = ServiceManager.Take();
        using var signals = new Signals();
        LogSetup.Open(settings.Log);
        try
        {
            return await ServeAsync(settings, load, signals, manager);
        }
        finally
        {
            await Log.CloseAndFlushAsync();
        }
    }

    private static async Task<int> ServeAsync(
        BackendSettings settings, Func<BackendSettings> load, Signals signals, ServiceManager manager)
    {
        Log.Information("ringmaster {Version}: configured devices: {Devices}", Product.Version, NamesOf(settings));
        if (GuestMemory.GuardProblem is { } problem)
        {
            Log.Warning("memory that a front-end takes away while its rings run would end this process: {Reason}", problem);
        }

        SocketDirectories.Make(settings.Devices);
        try
        {
            await using RingmasterBackend backend = await RingmasterBackend.StartAsync(settings, LogSetup.Akka(), signals.Stop);
            manager.Ready();
            await ObeyAsync(backend, load, signals);
            manager.Stopping();
        }
        catch (BackendStartException failure)
        {
            Log.Error("cannot serve: {Reason}", failure.Message);
            return ExitCode.Failure;
        }
        catch (OperationCanceledException) when (signals.Stop.IsCancellationRequested)
        {
            // The signal came while the devices were being opened; what was open is closed again.
        }

        Log.Information("stopped");
        return ExitCode.Success;
    }

    /// <summary>Returns with the first signal to stop.</summary>
    private static async Task ObeyAsync(RingmasterBackend backend, Func<BackendSettings> load, Signals signals)
    {
        while (true)
        {
            PosixSignal signal = await signals.NextAsync();
            switch (signal)
            {
                case PosixSignal.SIGHUP:
                    await ReloadAsync(backend, load, signals.Stop);
                    break;
                case Signals.SIGUSR1:
                    await StatusLog.WriteAsync(backend);
                    break;
                default:
                    Log.Information("stopping on {Signal}", signal);
                    return;
            }
        }
    }

    /// <summary>
    /// Reads all layers again. Where they cannot be used, everything stays as it is. A signal to stop is not kept waiting by
    /// a device that is slow.
    /// </summary>
    private static async Task ReloadAsync(RingmasterBackend backend, Func<BackendSettings> load, CancellationToken stop)
    {
        BackendSettings settings;
        try
        {
            settings = load();
        }
        catch (Exception error) when (error is SettingsException or ConfigurationException)
        {
            Log.Error("the configuration was not read again: {Reason}", error.Message);
            return;
        }

        SocketDirectories.Make(settings.Devices);
        try
        {
            Reloaded reloaded = await backend.ReloadAsync(settings, stop);
            Log.Information(
                "configuration read again: {Added} added, {Removed} removed, {Restarted} restarted, {Adjusted} adjusted; "
                + "log settings stay as they were",
                reloaded.Added.Length, reloaded.Removed.Length, reloaded.Restarted.Length, reloaded.Adjusted.Length);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The signal itself is the next that is looked at.
        }
    }

    private static string NamesOf(BackendSettings settings) => string.Join(", ", settings.Devices.Select(device => device.Name));
}
