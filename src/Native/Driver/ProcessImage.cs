using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Driver;

/// <summary>Replaces the program that this process runs.</summary>
public static unsafe partial class ProcessImage
{
    /// <summary>
    /// Runs another program in this process's place, with the same streams, directory and environment. Does not return
    /// when it succeeds; nothing of this program goes on, finalizers included.
    /// </summary>
    /// <param name="command">The program, looked for in PATH, and its arguments.</param>
    /// <returns>Why it could not be started.</returns>
    public static IoResult Replace(IReadOnlyList<string> command)
    {
        // Freed by nobody: the process is replaced, or about to say why not and to end.
        byte** arguments = (byte**)NativeMemory.AllocZeroed((nuint)(command.Count + 1), (nuint)sizeof(byte*));
        for (int i = 0; i < command.Count; i++)
        {
            arguments[i] = (byte*)Marshal.StringToCoTaskMemUTF8(command[i]);
        }

        return Sys.Result(execvp(arguments[0], arguments));
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int execvp(byte* file, byte** arguments);
}
