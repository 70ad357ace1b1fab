using BenchmarkDotNet.Running;
using Ringmaster.Bench.Micro;

string? refusal = TapIoBenchmarks.Refusal();
if (refusal is not null)
{
    Console.Error.WriteLine($"{nameof(TapIoBenchmarks)} are left out, which need a network namespace and a TAP: {refusal}");
}

Type[] all = [typeof(RingBenchmarks), typeof(TranslationBenchmarks), typeof(CodecBenchmarks), typeof(TapIoBenchmarks)];
Type[] possible = [.. all.Where(type => refusal is null || type != typeof(TapIoBenchmarks))];

// In this process: nothing here needs another one, and the project that would be generated for it knows nothing of this tree.
BenchmarkSwitcher.FromTypes(possible).Run([.. args, "--inProcess"]);
