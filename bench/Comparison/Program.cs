using Ringmaster.Bench.Compare;
using Ringmaster.Bench.Compare.Bare;
using Ringmaster.Bench.Compare.Contenders;
using Ringmaster.Native.Linux;

if (args is [BareLoop.Command, .. string[] rest])
{
    BareLoop.Run(rest);
    return 0;
}

// Threads inherit this, so that nothing here runs on the back-ends' CPU.
ThreadAffinity.Pin(Cpus.Driver).OrThrow($"sched_setaffinity({Cpus.Driver})");
return await CompareCommand.RunAsync(args);
