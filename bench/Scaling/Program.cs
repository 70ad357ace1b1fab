using Ringmaster.Bench.Scaling;

if (Options.Parse(args) is not { } options)
{
    Console.Error.WriteLine(Options.Usage);
    return 2;
}

using var network = new QuietNetwork();
DeviceTable.Write(options, network, Console.Out);
RegionTable.Write(options, network, Console.Out);
return 0;
