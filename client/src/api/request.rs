//! What every change carries: an id that makes it safe to repeat, who asks, and why.

use aurora_proto::v1::RequestContext;
use clap::Args;

use crate::{
    error::{CliError, CliResult},
    exit_status::ExitStatus,
    instances::InstanceSet,
    user_name::user_name,
};

/// The scheduler takes 128; the rest is for the parts of a request.
const MAX_REQUEST_ID: usize = 96;

/// Part of every verb that changes something.
#[derive(Args, Clone, Debug)]
pub(crate) struct MutationArgs {
    /// Why, for the job's history
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Identify the request, so that repeating the same command cannot apply it twice [default:
    /// random]
    #[arg(long, value_name = "ID", value_parser = parse_request_id)]
    pub(crate) request_id: Option<String>,
}

/// The identity of one run of a command.
#[derive(Clone, Debug)]
pub(crate) struct Requester {
    id: String,
    user: String,
    message: String,
}

impl MutationArgs {
    /// Returns the identity of this run.
    pub(crate) fn requester(&self) -> CliResult<Requester> {
        let id = match &self.request_id {
            Some(id) => id.clone(),
            None => random_id()?,
        };
        Ok(Requester {
            id,
            user: user_name(),
            message: self.message.clone().unwrap_or_default(),
        })
    }
}

impl Requester {
    /// Returns an identity with a random id.
    pub(crate) fn random(message: &str) -> CliResult<Self> {
        Ok(Self {
            id: random_id()?,
            user: user_name(),
            message: message.to_owned(),
        })
    }

    /// Returns the context of a command that makes one call.
    pub(crate) fn context(&self) -> RequestContext {
        RequestContext {
            request_id: self.id.clone(),
            user: self.user.clone(),
            message: self.message.clone(),
        }
    }

    /// Returns the context of one of many calls.
    ///
    /// Its id follows from what the call asks for, so that a repeated command whose batches come
    /// out differently is not mistaken for the first.
    pub(crate) fn context_of(&self, instances: &InstanceSet, attempt: u32) -> RequestContext {
        let content = fnv1a(&format!("{instances} {attempt}"));
        RequestContext {
            request_id: format!("{}-{content:016x}", self.id),
            ..self.context()
        }
    }
}

fn random_id() -> CliResult<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        CliError::new(ExitStatus::Unknown, "failed to draw a request id").caused_by(&error)
    })?;
    Ok(hex::encode(bytes))
}

fn parse_request_id(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > MAX_REQUEST_ID {
        return Err(format!("a request id has 1 to {MAX_REQUEST_ID} characters"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a request id is printable ASCII without blanks".to_owned());
    }
    Ok(text.to_owned())
}

/// Must give the same on every machine and with every compiler, unlike the standard hashers.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_batches_have_repeated_ids() {
        let args = MutationArgs {
            message: Some("why".to_owned()),
            request_id: Some("r1".to_owned()),
        };
        let requester = args.requester().unwrap();
        let (a, b): (InstanceSet, InstanceSet) = ("0-3".parse().unwrap(), "4".parse().unwrap());
        assert_eq!(requester.context().request_id, "r1");
        assert_eq!(requester.context_of(&a, 0), requester.context_of(&a, 0));
        assert_ne!(
            requester.context_of(&a, 0).request_id,
            requester.context_of(&b, 0).request_id
        );
        assert_ne!(
            requester.context_of(&a, 0).request_id,
            requester.context_of(&a, 1).request_id
        );
        assert_eq!(requester.context_of(&a, 0).message, "why");
    }

    #[test]
    fn ids_are_checked() {
        assert!(parse_request_id("a b").is_err());
        assert!(parse_request_id("").is_err());
        assert!(parse_request_id(&"x".repeat(97)).is_err());
        assert!(parse_request_id("deploy-17").is_ok());
    }
}
