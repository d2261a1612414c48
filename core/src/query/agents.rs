//! `ListAgents`.

use aurora_proto::v1;

use crate::scheduler::Scheduler;

impl Scheduler {
    /// Lists every agent that is known, by id.
    pub fn list_agents(&self) -> v1::ListAgentsResponse {
        let agents = self
            .state
            .agents_by_id
            .values()
            .map(|idx| {
                let agent = self.state.agent(*idx);
                let available = agent
                    .offered
                    .as_ref()
                    .map(|offered| offered.available)
                    .unwrap_or_default();
                v1::Agent {
                    agent_id: agent.id.to_string(),
                    host: agent.host.to_string(),
                    attributes: agent
                        .attributes
                        .iter()
                        .map(|(name, values)| v1::AgentAttribute {
                            name: name.clone(),
                            values: values.iter().cloned().collect(),
                        })
                        .collect(),
                    available: Some(available.to_proto()),
                    used: Some(agent.used.to_proto()),
                    tasks: u32::try_from(agent.tasks.len()).unwrap_or(u32::MAX),
                    reachable: self.connected && !agent.gone,
                }
            })
            .collect();
        v1::ListAgentsResponse { agents }
    }

    /// Returns how many offers stand.
    pub fn outstanding_offers(&self) -> usize {
        self.offers.len()
    }

    /// Returns how many agents are known.
    pub fn agent_count(&self) -> usize {
        self.state.agents.len()
    }

    /// Returns how many groups of tasks wait for a host.
    pub fn pending_groups(&self) -> usize {
        self.groups.len()
    }

    /// Returns how many jobs there are.
    pub fn job_count(&self) -> usize {
        self.state.jobs.len()
    }

    /// Returns the name that the cluster goes by.
    pub fn cluster_name(&self) -> &str {
        &self.settings.cluster_name
    }
}
