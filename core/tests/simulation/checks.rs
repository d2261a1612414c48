//! What must be true of the world, and of what leaves the scheduler.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aurora_core::Scheduler;
use aurora_core::call::{ApiError, Call, Reply};
use aurora_core::cluster::{Attributes, Effect, Launch};
use aurora_core::resources::Resources;
use aurora_proto::storage::v1::TaskRecord;
use aurora_proto::v1::{self, TaskState};

use crate::cluster::attributes_allow;
use crate::ledger::is_terminal;
use crate::world::World;

/// Calls from here on repeat one that was answered, to compare.
pub(crate) const REPEATS: u64 = 1 << 40;

/// What counts as room.
#[derive(Clone, Copy)]
enum Room {
    /// What stands in offers. A little that became free beside a large offer may be too small
    /// to be offered before that one has gone back.
    Offered,
    /// All that nothing uses.
    Any,
}

impl World {
    /// D3: what an effect rests on is durable. D4: so is what an acknowledgement confirms.
    pub(crate) fn check_effect(&self, effect: &Effect) -> Result<(), String> {
        match effect {
            Effect::Accept { launches, .. } => {
                for launch in launches {
                    self.check_launch(launch)?;
                }
            }
            Effect::Kill { task_id, .. } => {
                let Some(task) = self.ledger.by_id(task_id) else {
                    return Ok(());
                };
                let doomed = is_terminal(task.state())
                    || matches!(
                        task.state(),
                        TaskState::Killing
                            | TaskState::Restarting
                            | TaskState::Draining
                            | TaskState::Preempting
                    );
                if !doomed {
                    let state = task.state();
                    return Err(format!("D3: kill of {task_id}, which is {state:?}"));
                }
            }
            Effect::Acknowledge { task_id, token, .. } => {
                let token = u64::from_be_bytes(token.as_slice().try_into().unwrap());
                let Some((_, process)) = self.cluster.find_process(task_id) else {
                    return Ok(());
                };
                let ended = !process.lives()
                    && process.unacknowledged.back().map(|(last, _)| *last) == Some(token);
                let durable = self.ledger.by_id(task_id).map(TaskRecord::state);
                if ended && durable.is_some_and(|state| !is_terminal(state)) {
                    return Err(format!("D4: end of {task_id} confirmed at {durable:?}"));
                }
            }
            Effect::Decline { .. } | Effect::Reconcile { .. } => {}
        }
        Ok(())
    }

    /// D3 and P2 of one launch.
    fn check_launch(&self, launch: &Launch) -> Result<(), String> {
        let task_id = &launch.task_id;
        let Some(task) = self.ledger.by_id(task_id) else {
            return Err(format!("D3: {task_id} is launched and not stored"));
        };
        if !task.events.iter().any(|e| e.state() == TaskState::Assigned) {
            return Err(format!("D3: {task_id} is launched and not stored so"));
        }
        let Some(host) = self.attributes(&task.agent_id) else {
            return Err(format!("D3: {task_id} is on no agent"));
        };
        if !attributes_allow(&launch.config, &host, &self.hosts_of_others(task)) {
            return Err(format!("P2: {task_id} is where it must not be"));
        }
        Ok(())
    }

    fn attributes(&self, agent_id: &str) -> Option<Arc<Attributes>> {
        let agent = self.cluster.agents.iter().find(|a| &*a.id == agent_id)?;
        Some(Arc::clone(&agent.attributes))
    }

    fn hosts_of_others(&self, task: &TaskRecord) -> Vec<Arc<Attributes>> {
        self.ledger
            .active()
            .filter(|other| other.job == task.job && other.number != task.number)
            .filter_map(|other| self.attributes(&other.agent_id))
            .collect()
    }

    /// D1 and the promise of request ids: what is answered is durable, and stays.
    pub(crate) fn check_reply(
        &self,
        id: u64,
        result: &Result<Reply, ApiError>,
    ) -> Result<(), String> {
        if let Some(n) = id.checked_sub(REPEATS) {
            let n = usize::try_from(n).unwrap();
            let Some((_, call, before)) = self.clients.answered.get(n) else {
                return Ok(());
            };
            if result.as_ref() != Ok(before) {
                return Err(format!("D1: {call:?} answered {before:?}, then {result:?}"));
            }
            return Ok(());
        }
        let Some(outstanding) = self.clients.outstanding.get(&id) else {
            return Ok(());
        };
        if result.is_ok() && self.ledger.answer(&outstanding.request_id).is_none() {
            return Err(format!("D4: {id} is answered and not stored"));
        }
        if let (Call::KillTasks(_), Ok(Reply::KillTasks(response))) = (&outstanding.call, result) {
            for task_id in &response.task_ids {
                let state = self.ledger.by_id(task_id).map(TaskRecord::state);
                let dead = state.is_none_or(|s| s == TaskState::Killing || is_terminal(s));
                if !dead {
                    return Err(format!("T5: {task_id} was killed and is {state:?}"));
                }
            }
        }
        Ok(())
    }

    /// D1: after a restart every answer is still there.
    pub(crate) fn check_kept(&self) -> Result<(), String> {
        for (request_id, call, _) in &self.clients.answered {
            if self.ledger.answer(request_id).is_none() {
                return Err(format!("D1: {call:?} was answered and is forgotten"));
            }
        }
        Ok(())
    }

    /// T1: of an instance's live processes, all but one belong to tasks that were given up, and
    /// none to a task that has ended otherwise.
    pub(crate) fn check_live(&self) -> Result<(), String> {
        let mut wanted: BTreeMap<(&str, u32), &String> = BTreeMap::new();
        for (_, task_id, process) in self.cluster.live() {
            let state = self.ledger.last_state(task_id);
            match state {
                Some(TaskState::Lost) => {}
                Some(state) if !is_terminal(state) => {
                    let key = (process.job.as_str(), process.instance);
                    if let Some(other) = wanted.insert(key, task_id) {
                        return Err(format!("T1: {task_id} and {other} live"));
                    }
                }
                _ => return Err(format!("T1: {task_id} lives and is {state:?}")),
            }
        }
        Ok(())
    }

    /// T6, and T1 once more.
    pub(crate) fn check_tick(&mut self) -> Result<(), String> {
        self.check_live()?;
        let allowed = self.settings.transient_task_timeout.as_millis();
        // A scheduler that is down or starting cannot do anything about it.
        let allowed = i64::try_from(allowed).unwrap() + 20_000;
        for task in self.ledger.active() {
            let waits = matches!(
                task.state(),
                TaskState::Assigned
                    | TaskState::Killing
                    | TaskState::Restarting
                    | TaskState::Preempting
                    | TaskState::Draining
            );
            let since = task.events.last().map_or(0, |event| event.timestamp_ms);
            if waits && self.now - since > allowed {
                return Err(format!("T6: {} hangs in {:?}", task.number, task.state()));
            }
        }
        self.check_starving()
    }

    /// P4: once all is quiet, no task waits for long while there is room for it.
    fn check_starving(&mut self) -> Result<(), String> {
        if !self.quiet || !self.connected {
            self.room_since.clear();
            return Ok(());
        }
        let pending = self.ledger.active();
        let pending = pending.filter(|task| task.state() == TaskState::Pending);
        let room: Vec<u64> = pending
            .filter(|task| self.has_room(task, Room::Offered))
            .map(|task| task.number)
            .collect();
        self.room_since.retain(|number, _| room.contains(number));
        for number in room {
            let since = *self.room_since.entry(number).or_insert(self.now);
            if self.now - since > 20_000 {
                return Err(format!("P4: task {number} waits while there is room"));
            }
        }
        Ok(())
    }

    /// What holds after a while without faults: what is wanted runs and nothing else does.
    pub(crate) fn check_settled(&self) -> Result<(), String> {
        for task in self.ledger.active() {
            if task.state() == TaskState::Running {
                continue;
            }
            if task.state() == TaskState::Pending && !self.has_room(task, Room::Any) {
                continue;
            }
            return Err(format!(
                "T7: {}/{} is still {:?} since {} s",
                task.job,
                task.instance,
                task.state(),
                (self.now - task.events.last().map_or(0, |e| e.timestamp_ms)) / 1_000
            ));
        }
        for (agent, task_id, process) in self.cluster.live() {
            let task = self.ledger.by_id(task_id);
            if task.is_none_or(|task| is_terminal(task.state())) {
                return Err(format!("T2: {task_id} lives on {} unwanted", agent.id));
            }
            if !process.unacknowledged.is_empty() {
                return Err(format!("D4: news of {task_id} is never confirmed"));
            }
        }
        if let Some((_, outstanding)) = self.clients.outstanding.first_key_value() {
            return Err(format!("{outstanding:?} is never answered"));
        }
        self.check_wanted()
    }

    /// P3: the scheduler holds the offers that stand, and none for too long.
    pub(crate) fn check_offers(&self) -> Result<(), String> {
        let held = self.scheduler.as_ref().map(Scheduler::outstanding_offers);
        let standing = self.cluster.offers.len();
        if held != Some(standing) {
            return Err(format!("P3: {held:?} offers are held, {standing} stand"));
        }
        let hold = self.settings.offer_hold + self.settings.offer_hold_jitter;
        let allowed = i64::try_from(hold.as_millis()).unwrap() + 5_000;
        let oldest = self.cluster.offers.values().map(|offer| offer.made).min();
        let late = oldest.is_some_and(|made| self.now - made > allowed);
        if late && !self.settings.hold_offers_forever {
            return Err(format!("P3: an offer is held since {oldest:?}"));
        }
        Ok(())
    }

    fn check_wanted(&self) -> Result<(), String> {
        for (path, wanted) in &self.clients.jobs {
            let active = self.ledger.active().filter(|task| task.job == *path);
            let active: BTreeSet<u32> = active.map(|task| task.instance).collect();
            let missing = wanted.instances.difference(&active).next();
            if wanted.service && missing.is_some() {
                return Err(format!("T7: {path} lacks instance {missing:?}"));
            }
            if let Some(extra) = active.difference(&wanted.instances).next() {
                return Err(format!("T5: {path}/{extra} is not wanted"));
            }
        }
        Ok(())
    }

    /// Whether some agent could take the task, by an independent reading.
    fn has_room(&self, task: &TaskRecord, room: Room) -> bool {
        let key = (
            aurora_core::store::Table::Configs,
            task.config_digest.clone(),
        );
        let Some(value) = self.ledger.rows.get(&key) else {
            return false;
        };
        let record: aurora_proto::storage::v1::ConfigRecord =
            prost::Message::decode(value.as_slice()).unwrap();
        let config: v1::TaskConfig = record.config.unwrap();
        let needed = Resources::from_proto(config.resources.as_ref().unwrap());
        let others = self.hosts_of_others(task);
        self.cluster.agents.iter().enumerate().any(|(at, agent)| {
            let (mut free, mut ports) = match room {
                Room::Any => self.cluster.free(at),
                Room::Offered => (Resources::default(), BTreeSet::new()),
            };
            for offer in self.cluster.offers.values().filter(|o| o.agent == at) {
                free += offer.resources;
                ports.extend(&offer.ports);
            }
            !agent.gone
                && agent.reachable
                && free.fits(&needed)
                && ports.len() >= config.ports.len()
                && attributes_allow(&config, &agent.attributes, &others)
        })
    }
}
