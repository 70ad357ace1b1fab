using System.Diagnostics;
using System.Reflection;
using Ringmaster.Native.Tests.Support;

if (args is [ChildProcess.Verb, string type, string method, ..])
{
    MethodInfo body = Type.GetType(type, throwOnError: true)!.GetMethod(method, BindingFlags.Static | BindingFlags.NonPublic)
        ?? throw new MissingMethodException(type, method);
    body.Invoke(null, null);
    return 0;
}

await Console.Error.WriteLineAsync("This is a test assembly: run it with 'dotnet test'.");
return 2;

namespace Ringmaster.Native.Tests.Support
{
    /// <summary>How a child ended and what it wrote.</summary>
    internal sealed record ChildResult(int ExitCode, string Output);

    /// <summary>Runs a method in a process of its own, for what could end the test host or must not touch its settings.</summary>
    internal static class ChildProcess
    {
        internal const string Verb = "child";

        /// <summary>A child starts a runtime and compiles; some do a thing hundreds of times.</summary>
        private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

        /// <summary>Runs a private static method without parameters; the child exits with 0 when it returns.</summary>
        internal static ChildResult Run(Action body)
        {
            var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet")
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };

            // Of a child that dies of a signal, the runtime's debugging pipes and socket would stay in the temporary directory.
            start.Environment["DOTNET_EnableDiagnostics"] = "0";
            start.ArgumentList.Add("exec");
            start.ArgumentList.Add(typeof(ChildProcess).Assembly.Location);
            start.ArgumentList.Add(Verb);
            start.ArgumentList.Add(body.Method.DeclaringType!.AssemblyQualifiedName!);
            start.ArgumentList.Add(body.Method.Name);
            using Process child = Process.Start(start)!;
            Task<string> output = child.StandardOutput.ReadToEndAsync();
            Task<string> errors = child.StandardError.ReadToEndAsync();
            if (!child.WaitForExit(Patience))
            {
                child.Kill();
                throw new TimeoutException($"{body.Method.Name} has not ended within {Patience}.");
            }

            return new ChildResult(child.ExitCode, output.Result + errors.Result);
        }

        /// <summary>Runs a method as <see cref="Run"/> does and fails unless it returned.</summary>
        internal static void MustSucceed(Action body)
        {
            ChildResult result = Run(body);
            Assert.True(result.ExitCode == 0, $"the child ended with {result.ExitCode}: {result.Output}");
        }
    }
}
