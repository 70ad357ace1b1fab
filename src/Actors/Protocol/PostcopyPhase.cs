namespace Ringmaster.Actors.Protocol;

/// <summary>How far a guest has come that arrives by post-copy migration.</summary>
public enum PostcopyPhase
{
    /// <summary>Its memory is here.</summary>
    None,

    /// <summary>POSTCOPY_ADVISE: it may come so.</summary>
    Advised,

    /// <summary>POSTCOPY_LISTEN: it does. Pages that rings use may still have to come.</summary>
    Listening,

    /// <summary>As before, and the front-end has yet to say that it knows where memory is mapped: no ring may touch it.</summary>
    Mapping,
}
