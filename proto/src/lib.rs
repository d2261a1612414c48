//! The API (`aurora.v1`) and the stored records (`aurora.storage.v1`) of aurora-rs.
//!
//! Holds generated types, their descriptors and their JSON form; decides nothing.

#[cfg(feature = "json")]
pub mod json;

/// The encoded `FileDescriptorSet` of every message here, for reflection and JSON.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::semicolon_if_nothing_returned,
    clippy::uninlined_format_args,
    clippy::use_self,
    clippy::or_fun_call,
    clippy::wildcard_enum_match_arm,
    clippy::too_many_lines,
    let_underscore_drop,
    reason = "generated from the documented .proto files; which lints fire depends on features"
)]
mod generated {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/aurora.v1.rs"));
    }
    pub mod storage {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/aurora.storage.v1.rs"));
        }
    }
}

/// The API.
pub use generated::v1;

/// The records of the store.
pub mod storage {
    pub use crate::generated::storage::v1;
}
