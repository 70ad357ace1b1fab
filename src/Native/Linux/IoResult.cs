namespace Ringmaster.Native.Linux;

/// <summary>
/// What a system call gave: a count of zero or more, or an errno. A value, because EAGAIN is the ordinary end of
/// every batch and an exception costs some 12 microseconds.
/// </summary>
public readonly record struct IoResult
{
    private readonly long _value;

    /// <summary>Wraps a raw result.</summary>
    /// <param name="value">A count (zero or more), or the errno negated.</param>
    public IoResult(long value) => _value = value;

    /// <summary>True when the call succeeded.</summary>
    public bool Ok => _value >= 0;

    /// <summary>The count on success (bytes, or what the call counts). Negative errno otherwise.</summary>
    public long Count => _value;

    /// <summary>The errno on failure, 0 on success.</summary>
    public int Error => _value < 0 ? (int)-_value : 0;

    /// <summary>True when the call would have blocked.</summary>
    public bool WouldBlock => _value == -Errno.EAGAIN;

    /// <summary>The count, or a <see cref="LinuxException"/> that names the operation. For set-up paths only.</summary>
    public long OrThrow(string operation) => Ok ? _value : throw new LinuxException(operation, Error);

    /// <inheritdoc/>
    public override string ToString() =>
        Ok ? _value.ToString(System.Globalization.CultureInfo.InvariantCulture) : Errno.Describe(Error);
}
