using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using Ringmaster.Host.Commands;

namespace Ringmaster.Host;

/// <summary>The command line: which commands there are, and what happens before one of them is chosen.</summary>
internal static class CommandLine
{
    // The vhost-user specification, "Backend program conventions": with this option all others are ignored, also
    // those that are not known, so that it is looked for before anything is parsed.
    private const string PrintCapabilities = "--print-capabilities";
    private const string Capabilities = """{"type":"net"}""";

    internal static async Task<int> RunAsync(string[] args)
    {
        if (args.TakeWhile(arg => arg != "--").Contains(PrintCapabilities))
        {
            Console.Out.WriteLine(Capabilities);
            return ExitCode.Success;
        }

        ParseResult result = Build().Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (result.Errors.Count > 0)
        {
            return Refuse(result.Errors);
        }

        // Signals are RunCommand's; the library's own handling would end the process before the devices are closed.
        return await result.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });
    }

    private static RootCommand Build()
    {
        var layers = new ConfigurationOptions();
        var root = new RootCommand(
            "Ringmaster, a vhost-user-net back-end: gives virtual machines a network card whose other end is a TAP interface.")
        {
            RunCommand.Create(layers),
            CheckCommand.Create(layers),
            DriveCommand.Create(),
            DemoCommand.Create(),
            new Option<bool>(PrintCapabilities)
            {
                Description = "Print what this back-end can do as JSON, and exit; all other options are ignored.",
            },
        };
        layers.AddTo(root);
        RunCommand.SetAction(root, layers);
        HideDefaults(root);
        return root;
    }

    /// <summary>"run" is what happens without a command; help shows that instead of an empty default.</summary>
    private static void HideDefaults(RootCommand root)
    {
        foreach (HelpOption help in root.Options.OfType<HelpOption>())
        {
            help.Description = "Show what can be given here. Without a command, ringmaster does what `run` does.";
        }
    }

    private static int Refuse(IEnumerable<ParseError> errors)
    {
        foreach (ParseError error in errors)
        {
            Console.Error.WriteLine($"ringmaster: {error.Message}");
        }

        Console.Error.WriteLine("ringmaster: `ringmaster --help` shows what can be given");
        return ExitCode.Configuration;
    }
}
