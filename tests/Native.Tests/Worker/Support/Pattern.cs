namespace Ringmaster.Native.Tests.Worker.Support;

/// <summary>Contents of frames that can be told apart.</summary>
internal static class Pattern
{
    internal static byte[] Of(int length, int seed)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
