//! Who may speak for which executor.
//!
//! A token is `<executor id>.<256 random bits>`; only its hash is kept, here and on disk.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use aurora_mesos::agent_endpoint::ExecutorKey;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::error::EmbeddedError;

/// The SHA-256 of a token.
pub(super) type TokenHash = [u8; 32];

/// Makes a token for an executor.
pub(super) fn new_token(executor_id: &str) -> Result<String, EmbeddedError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(EmbeddedError::Random)?;
    Ok(format!("{executor_id}.{}", hex::encode(secret)))
}

/// Hashes a token.
pub(super) fn hash_token(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// An executor that may call.
#[derive(Debug)]
pub(super) struct Credential {
    /// Whom the token belongs to.
    pub(super) key: Arc<ExecutorKey>,
    hash: TokenHash,
    subscribed: AtomicBool,
}

impl Credential {
    /// Notes that the executor has subscribed; returns nothing new the second time.
    pub(super) fn set_subscribed(&self) {
        self.subscribed.store(true, Ordering::Release);
    }

    /// Returns whether the executor has subscribed since the scheduler started.
    pub(super) fn is_subscribed(&self) -> bool {
        self.subscribed.load(Ordering::Acquire)
    }
}

/// The executors that may call; shared between the cluster's owner and the endpoint.
#[derive(Debug, Default)]
pub(super) struct Credentials(RwLock<HashMap<String, Arc<Credential>>>);

impl Credentials {
    /// Lets an executor call.
    pub(super) fn admit(&self, key: Arc<ExecutorKey>, hash: TokenHash) {
        let id = key.executor_id.clone();
        let credential = Credential {
            key,
            hash,
            subscribed: AtomicBool::new(false),
        };
        let mut by_id = self.0.write().unwrap_or_else(PoisonError::into_inner);
        by_id.insert(id, Arc::new(credential));
    }

    /// Takes the right to call away.
    pub(super) fn revoke(&self, executor_id: &str) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(executor_id);
    }

    /// Returns an executor by its id.
    pub(super) fn get(&self, executor_id: &str) -> Option<Arc<Credential>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(executor_id)
            .cloned()
    }

    /// Returns the executor that a token belongs to.
    pub(super) fn authenticate(&self, token: &str) -> Option<Arc<ExecutorKey>> {
        let (executor_id, _) = token.rsplit_once('.')?;
        let credential = self.get(executor_id)?;
        let same: bool = hash_token(token).ct_eq(&credential.hash).into();
        same.then(|| Arc::clone(&credential.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_good() {
        let key = ExecutorKey {
            framework_id: "f".to_owned(),
            executor_id: "role.x-1".to_owned(),
        };
        let token = new_token(&key.executor_id).unwrap();
        let credentials = Credentials::default();
        credentials.admit(Arc::new(key.clone()), hash_token(&token));
        assert_eq!(credentials.authenticate(&token).as_deref(), Some(&key));
        for wrong in [
            "",
            ".",
            "role.x-1",
            "role.x-1.",
            &token[1..],
            &token[..token.len() - 1],
        ] {
            assert!(credentials.authenticate(wrong).is_none(), "{wrong}");
        }
        credentials.revoke("role.x-1");
        assert!(credentials.authenticate(&token).is_none());
    }
}
