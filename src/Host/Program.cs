using Ringmaster.Host;

return await CommandLine.RunAsync(args);
