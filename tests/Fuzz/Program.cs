using Ringmaster.Fuzz;
using SharpFuzz;

if (args.Length == 0 || !Targets.All.TryGetValue(args[0], out Action<byte[]>? target))
{
    Console.Error.WriteLine($"usage: Ringmaster.Fuzz {string.Join('|', Targets.All.Keys)} [FILE...]");
    return 2;
}

if (args.Length > 1)
{
    foreach (string file in args[1..])
    {
        Console.WriteLine(file);
        target(File.ReadAllBytes(file));
    }

    return 0;
}

Fuzzer.OutOfProcess.Run(input =>
{
    using MemoryStream bytes = new();
    input.CopyTo(bytes);
    target(bytes.ToArray());
});
return 0;
