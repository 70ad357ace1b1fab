using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests.Matrix;

/// <summary>
/// The account of the frames that went one way: each must arrive once, unchanged, and after those that were sent before it
/// through the same queue pair.
/// </summary>
internal sealed class MatrixAccount(string direction, int lanes)
{
    private readonly int[] _last = [.. Enumerable.Repeat(-1, lanes)];
    private readonly int[] _arrived = new int[lanes];
    private readonly Dictionary<int, (byte[] Frame, int Offset)> _missing = [];

    /// <summary>How many have not arrived.</summary>
    internal int Missing => _missing.Count;

    /// <summary>Long frames that came as one.</summary>
    internal int Whole { get; private set; }

    /// <summary>Segments that long frames came in.</summary>
    internal int Segments { get; private set; }

    /// <summary>Frames for each pair.</summary>
    internal IReadOnlyList<int> ArrivedByLane => _arrived;

    internal void Sent(int number, byte[] frame) => _missing.Add(number, (frame, 0));

    /// <summary>Takes a frame that arrived; another sender's is left out.</summary>
    internal void Arrived(int lane, VirtioNetHeader header, ReadOnlySpan<byte> frame)
    {
        if (!MatrixFrame.TryRead(frame, out int number, out int offset, out bool segment))
        {
            return;
        }

        Assert.True(_missing.TryGetValue(number, out (byte[] Frame, int Offset) sent), $"{direction}: {number} came twice");
        bool inOrder = number > _last[lane] || (sent.Offset > 0 && number == _last[lane]);
        Assert.True(inOrder, $"{direction}: {number} came after {_last[lane]}");
        _last[lane] = number;
        if (segment && frame.Length < sent.Frame.Length)
        {
            TakeSegment(lane, number, offset, frame[MatrixFrame.SegmentPayload..], sent);
            return;
        }

        VirtioNetHeader expected = MatrixFrame.HeaderOf(sent.Frame.Length);
        Assert.True(frame.SequenceEqual(sent.Frame), $"{direction}: {number} is not as it was sent");
        Assert.Equal((expected.GsoType, expected.GsoSize), (header.GsoType, header.GsoSize));
        Whole += segment ? 1 : 0;
        Complete(lane, number);
    }

    private void TakeSegment(int lane, int number, int offset, ReadOnlySpan<byte> bytes, (byte[] Frame, int Offset) sent)
    {
        Assert.True(offset == sent.Offset, $"{direction}: {number} goes on at {offset} instead of {sent.Offset}");
        ReadOnlySpan<byte> rest = sent.Frame.AsSpan(MatrixFrame.SegmentPayload + offset);
        Assert.True(rest.StartsWith(bytes), $"{direction}: {number} is not as it was sent, from byte {offset} on");
        Assert.InRange(bytes.Length, 1, MatrixFrame.SegmentSize);
        Segments++;
        if (rest.Length == bytes.Length)
        {
            Complete(lane, number);
        }
        else
        {
            _missing[number] = (sent.Frame, offset + bytes.Length);
        }
    }

    private void Complete(int lane, int number)
    {
        _arrived[lane]++;
        _missing.Remove(number);
    }
}
