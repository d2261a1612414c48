//! The store: what the scheduler must not forget, kept so that a power cut takes nothing that was
//! acknowledged.
//!
//! Knows tables, keys and bytes, not what they mean; the one exception is the `Meta` record, whose
//! format number decides whether this release may touch the rest.
//!
//! Architecture invariant: nobody but this module calls sled, and nobody but one committer thread
//! calls [`Store::commit`].

mod ballast;
mod data_dir;
mod database;
mod error;
mod frame;
mod listing;
mod mark;
mod mem_store;
mod restore;
mod sled_store;
mod snapshot;
mod snapshot_file;
mod stage;

use aurora_core::store::{Table, Write};

pub use self::ballast::Ballast;
pub use self::error::{Damage, StoreError};
pub use self::listing::{Listing, Record};
pub use self::mem_store::MemStore;
pub use self::restore::{RestoreReport, restore};
pub use self::sled_store::{OpenOptions, OpenReport, SledStore};
pub use self::snapshot::{Decoder, Encoder, SnapshotError, SnapshotInfo};
pub use self::snapshot_file::{
    SnapshotFile, list_snapshots, prune_snapshots, read_snapshot, verify_snapshot, write_snapshot,
};

/// The key of the only record of [`Table::Meta`].
pub const META_KEY: &[u8] = b"meta";

/// The longest key that a store takes, in bytes.
pub const MAX_KEY: usize = 1024;

/// The longest value that a store takes, in bytes.
pub const MAX_VALUE: usize = 16 << 20;

/// Keeps records; owned by one committer thread.
pub trait Store: Send {
    /// Applies all writes together, in order, and returns only when they would survive a power
    /// cut.
    ///
    /// # Errors
    ///
    /// After any error the store is fail-stop: whether the writes landed is unknown, and every
    /// later commit fails with [`StoreError::Stopped`].
    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError>;

    /// Calls `visit` with the table, key and value of every record: tables in the order of
    /// [`Table::ALL`], keys ascending.
    ///
    /// # Errors
    ///
    /// Fails if any record is damaged or missing, or with the reason that `visit` gave; then
    /// nothing of what was visited may be used.
    fn load(&self, visit: &mut Visit<'_>) -> Result<LoadSummary, StoreError>;

    /// Returns all records as they are now, in the order of [`Store::load`]. Cheap enough to be
    /// taken between two commits; decoded as it is iterated, which another thread may do.
    ///
    /// # Errors
    ///
    /// Fails if a record cannot be read.
    fn listing(&self) -> Result<Listing, StoreError>;
}

/// Takes one record; an `Err` says why it cannot be understood.
pub type Visit<'a> = dyn FnMut(Table, &[u8], &[u8]) -> Result<(), String> + 'a;

/// What [`Store::load`] went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadSummary {
    /// The number of records.
    pub records: u64,
    /// The bytes of all keys and values.
    pub bytes: u64,
    /// The number of commits in the store's life.
    pub commits: u64,
}

#[cfg(test)]
mod tests;
