//! Mesos v1 on the wire: messages, RecordIO framing, and the executor's side of the executor API.
//!
//! Knows protobuf over HTTP/1.1 and nothing of Aurora. What is here:
//!
//! - [`v1`]: the messages, a hand-written subset with Mesos' own field numbers. The scheduler API
//!   belongs beside [`v1::executor`], as `proto/mesos/v1/scheduler/scheduler.proto`.
//! - [`recordio`]: the framing of event streams, both ways.
//! - [`executor_env`]: what an agent tells an executor through its environment.
//! - [`executor_client`]: an executor's connection to its agent.
//! - [`agent_endpoint`]: the agent's side of the same API.

pub mod agent_endpoint;
mod call_pipe;
pub mod duration;
pub mod executor_client;
pub mod executor_env;
mod listener_owner;
pub mod recordio;
mod session;
mod unacknowledged;

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::use_self,
    clippy::wildcard_enum_match_arm,
    clippy::too_many_lines,
    clippy::uninlined_format_args,
    clippy::semicolon_if_nothing_returned,
    clippy::or_fun_call,
    let_underscore_drop,
    reason = "generated from the documented .proto files"
)]
mod generated {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/mesos.v1.rs"));

        /// The executor API.
        pub mod executor {
            include!(concat!(env!("OUT_DIR"), "/mesos.v1.executor.rs"));
        }
    }
}

/// The messages of `mesos.v1`, and below them the executor API.
pub use generated::v1;
