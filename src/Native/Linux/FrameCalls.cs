using System.Runtime.InteropServices;

namespace Ringmaster.Native.Linux;

/// <summary>
/// The system calls that are made once a frame. They go through the C library's <c>syscall</c>: its <c>read</c> and
/// <c>write</c> are cancellation points, which in a process with threads costs more than the rest of them, and the
/// marshaller's errno bookkeeping costs as much again. Here errno is read only after a failure, and at once; the runtime keeps
/// it across the end of the call.
/// </summary>
internal static unsafe partial class FrameCalls
{
    private static readonly bool Arm = RuntimeInformation.ProcessArchitecture == Architecture.Arm64;
    private static readonly nint ReadCall = Arm ? 63 : 0;
    private static readonly nint WriteCall = Arm ? 64 : 1;
    private static readonly nint ReadVectorCall = Arm ? 65 : 19;
    private static readonly nint WriteVectorCall = Arm ? 66 : 20;

    /// <summary>Reads one frame, into one buffer or several.</summary>
    internal static IoResult Read(int fd, IoVec* vectors, int count) => count == 1
        ? Call(ReadCall, fd, vectors->Base, vectors->Length)
        : Call(ReadVectorCall, fd, vectors, (nuint)count);

    /// <summary>Writes one frame, from one buffer or several.</summary>
    internal static IoResult Write(int fd, IoVec* vectors, int count) => count == 1
        ? Call(WriteCall, fd, vectors->Base, vectors->Length)
        : Call(WriteVectorCall, fd, vectors, (nuint)count);

    private static IoResult Call(nint number, int fd, void* first, nuint count)
    {
        while (true)
        {
            nint result = syscall(number, fd, (nint)first, (nint)count);
            if (result >= 0)
            {
                return new IoResult(result);
            }

            int error = Marshal.GetLastSystemError();
            if (error != Errno.EINTR)
            {
                return new IoResult(-error);
            }
        }
    }

    [LibraryImport("libc")]
    private static partial nint syscall(nint number, nint fd, nint first, nint count);
}
