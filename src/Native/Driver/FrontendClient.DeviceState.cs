using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Driver;

/// <content>Saving and loading of what the device holds, through a pipe as QEMU does it.</content>
public sealed partial class FrontendClient
{
    private const uint SaveDirection = 0;
    private const uint LoadDirection = 1;
    private const int MaxDeviceState = 16 << 20;

    /// <summary>Saves what the device holds. All rings must be stopped.</summary>
    /// <exception cref="FrontendException">The back-end refused, or could not do it.</exception>
    public byte[] SaveDeviceState()
    {
        (OwnedFd read, OwnedFd write) = Pipe.Create();
        using (read)
        {
            using (write)
            {
                SetDeviceStateFd(SaveDirection, write);
            }

            byte[] state = StateChannel.ReadToEnd(read, MaxDeviceState, Timeout, CancellationToken.None);
            CheckDeviceState();
            return state;
        }
    }

    /// <summary>Loads what <see cref="SaveDeviceState"/> gave. All rings must be stopped.</summary>
    /// <exception cref="FrontendException">The back-end refused, or could not do it.</exception>
    public void LoadDeviceState(ReadOnlySpan<byte> state)
    {
        (OwnedFd read, OwnedFd write) = Pipe.Create();
        using (write)
        {
            using (read)
            {
                SetDeviceStateFd(LoadDirection, read);
            }

            StateChannel.WriteAll(write, state, Timeout, CancellationToken.None);
        }

        CheckDeviceState();
    }

    private void SetDeviceStateFd(uint direction, OwnedFd fd)
    {
        using FrontendReply reply = Ask(RequestCode.SetDeviceStateFd, VringState((int)direction, 0), fd);
        if (reply.Number != 0x100)
        {
            throw new RequestRefusedException(RequestCode.SetDeviceStateFd, reply.Number);
        }
    }

    private void CheckDeviceState()
    {
        ulong answer = AskNumber(RequestCode.CheckDeviceState);
        if (answer != 0)
        {
            throw new RequestRefusedException(RequestCode.CheckDeviceState, answer);
        }
    }
}
