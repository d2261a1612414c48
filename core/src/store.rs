//! What the core wants kept, as a store sees it: tables of keys and encoded records.

/// The tables of the store. The discriminant is the table's number on disk and in snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// `Meta`, one record.
    Meta = 1,
    /// `JobRecord` by job key.
    Jobs = 2,
    /// `ConfigRecord` by SHA-256.
    Configs = 3,
    /// `TaskRecord` by number.
    Tasks = 4,
    /// `RequestRecord` by request id.
    Requests = 5,
    /// `AgentRecord` by agent id.
    Agents = 6,
    /// `FrameworkRecord` by engine.
    Frameworks = 7,
}

impl Table {
    /// Every table, in the order in which records have to be loaded.
    pub const ALL: [Self; 7] = [
        Self::Meta,
        Self::Configs,
        Self::Jobs,
        Self::Agents,
        Self::Tasks,
        Self::Requests,
        Self::Frameworks,
    ];

    /// The table's name on disk.
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Jobs => "jobs",
            Self::Configs => "configs",
            Self::Tasks => "tasks",
            Self::Requests => "requests",
            Self::Agents => "agents",
            Self::Frameworks => "frameworks",
        }
    }

    /// The table with this number on disk.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| *table as u8 == number)
    }
}

/// One change of the store. All writes of a [`crate::Step`] land together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub table: Table,
    /// The record's key.
    pub key: Vec<u8>,
    /// The encoded record; absent deletes it.
    pub value: Option<Vec<u8>>,
}

/// The newest format that this release reads and writes, in `Meta.format`.
pub const FORMAT: u32 = 1;
