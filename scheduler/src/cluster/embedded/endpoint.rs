//! Joins the executor API's endpoint with the owner of the state.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use aurora_mesos::agent_endpoint::{Agent, ExecutorCall, ExecutorKey, Refusal};
use tokio::sync::mpsc;

use super::credentials::Credentials;
use super::state::Call;

/// Hands the calls of known executors to the owner of the state.
pub(super) struct CallTaker {
    credentials: Arc<Credentials>,
    calls: mpsc::Sender<Call>,
}

impl CallTaker {
    /// Makes one.
    pub(super) const fn new(credentials: Arc<Credentials>, calls: mpsc::Sender<Call>) -> Self {
        Self { credentials, calls }
    }
}

impl Agent for CallTaker {
    fn authenticate(&self, token: &str) -> Option<Arc<ExecutorKey>> {
        self.credentials.authenticate(token)
    }

    async fn handle(&self, caller: Arc<ExecutorKey>, call: ExecutorCall) -> Result<(), Refusal> {
        let credential = self
            .credentials
            .get(&caller.executor_id)
            .ok_or(Refusal::UnknownExecutor)?;
        match &call {
            ExecutorCall::Subscribe { .. } => credential.set_subscribed(),
            ExecutorCall::Update(_) | ExecutorCall::Message(_) => {
                if !credential.is_subscribed() {
                    return Err(Refusal::NotSubscribed);
                }
            }
        }
        self.calls
            .send((caller, call))
            .await
            .map_err(|_closed| Refusal::Unavailable)
    }
}

/// Writes where the agent listens, in one step: executors read it at any time.
pub(super) fn write_endpoint_file(path: &Path, address: &str) -> io::Result<()> {
    let new_path = path.with_extension("new");
    let mut file = std::fs::File::create(&new_path)?;
    writeln!(file, "{address}")?;
    std::fs::rename(new_path, path)
}
