//! Guards taken away, one at a time, outside of the code under test: the auditor must see each.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutation {
    None,
    /// Appends count as acknowledged before they are made: I6, first half.
    AcksAppendEarly,
    /// Writes count as made before they are: I6, second half.
    AcksWriteEarly,
    /// Announcements count as acknowledged before they are made: I6, last half.
    AcksAnnounceEarly,
    /// A successor does not announce again what its snapshot says was stored.
    AnnouncesOnce,
    /// A failed write counts as made.
    SwallowsWriteFailure,
    /// Commits what was fetched, not what a successor must read: the finished prefix, the commit point.
    CommitsFetched,
    /// The broker lets members of older generations commit: I12.
    IgnoresGeneration,
    /// Dead letters are not written: I11.
    SkipsDeadLetters,
    /// An outage of the registry counts as its answer that there is no such schema: I11.
    OutageIsAbsence,
    /// A state outlives the loss of its partition.
    KeepsLostState,
    /// A load does not see the newest writes.
    LoadsStale,
    /// A half-made write may leave a snapshot without what it covers.
    SealsNothing,
    /// A restore stops one record short.
    RestoresShort,
    /// A restore does not wait for what an open transaction holds back.
    RestoresToStable,
    /// A transaction carries only offsets that moved.
    OmitsUnmovedOffsets,
    /// Reads the records of transactions that were aborted.
    ReadsUncommitted,
    /// Starts one record behind the committed offset.
    StartsAhead,
    /// An aborted transaction counts as done.
    AbortIsDone,
    /// Offsets are looked up after the restore, not before.
    LooksUpLate,
}
