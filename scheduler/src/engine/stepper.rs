//! Owns the core: takes what has come in, steps, and hands the outcome to the committer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use aurora_core::call::ReplyTo;
use aurora_core::time::Timestamp;
use aurora_core::{Input, Scheduler, Step};

use crate::clock::Clock;
use crate::engine::committer::{Group, Work};
use crate::engine::{Answer, Message, Read, Release};

/// Inputs of one step at most: bounds the size of a commit.
const MAX_INPUTS: usize = 4_096;

/// How long to sleep if nothing is due.
const IDLE: Duration = Duration::from_secs(60);

/// The thread's state.
pub(super) struct Stepper {
    core: Scheduler,
    clock: Arc<dyn Clock>,
    inbox: Receiver<Message>,
    groups: SyncSender<Group>,
    waiting: Arc<AtomicUsize>,
    next_reply: ReplyTo,
}

/// What one turn has gathered.
#[derive(Default)]
struct Gathered {
    inputs: Vec<Input>,
    answers: BTreeMap<ReplyTo, Answer>,
    reads: Vec<Read>,
    work: Vec<Work>,
    stop: bool,
}

impl Stepper {
    pub(super) fn new(
        core: Scheduler,
        clock: Arc<dyn Clock>,
        inbox: Receiver<Message>,
        groups: SyncSender<Group>,
        waiting: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            core,
            clock,
            inbox,
            groups,
            waiting,
            next_reply: 0,
        }
    }

    pub(super) fn run(mut self, first: Step) {
        let mut gathered = Gathered::default();
        let mut step = first;
        loop {
            let stop = gathered.stop;
            let group = self.group(step, gathered);
            // A committer that is gone has said why; nothing can be done any more.
            if (!group.is_empty() && self.groups.send(group).is_err()) || stop {
                return;
            }
            gathered = self.gather();
            step = self
                .core
                .step(self.clock.now(), std::mem::take(&mut gathered.inputs));
        }
    }

    /// Waits for the first message or the next wake-up, then takes what else is there.
    fn gather(&mut self) -> Gathered {
        let mut gathered = Gathered::default();
        let first = match self.until_wakeup() {
            Duration::ZERO => self.inbox.try_recv().ok(),
            wait => match self.inbox.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Message::Stop),
            },
        };
        if let Some(message) = first {
            self.take(message, &mut gathered);
        }
        for _ in 1..MAX_INPUTS {
            let Ok(message) = self.inbox.try_recv() else {
                break;
            };
            self.take(message, &mut gathered);
        }
        gathered
    }

    fn until_wakeup(&self) -> Duration {
        let now: Timestamp = self.clock.now();
        self.core
            .next_wakeup(now)
            .map_or(IDLE, |at| at.since(now).min(IDLE))
    }

    fn take(&mut self, message: Message, gathered: &mut Gathered) {
        if !matches!(message, Message::Cluster(_) | Message::Stop) {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        match message {
            Message::Call { call, answer } => {
                self.next_reply += 1;
                gathered.answers.insert(self.next_reply, answer);
                gathered.inputs.push(Input::Call {
                    reply_to: self.next_reply,
                    call,
                });
            }
            Message::Read(read) => gathered.reads.push(read),
            Message::Cluster(event) => gathered.inputs.push(Input::Cluster(event)),
            Message::Listing(answer) => gathered.work.push(Work::Listing(answer)),
            Message::Stop => gathered.stop = true,
        }
    }

    /// Makes a group of a step and of what else was asked for. Reads see the state after it.
    fn group(&self, step: Step, mut gathered: Gathered) -> Group {
        let mut releases: Vec<Release> = Vec::with_capacity(step.replies.len());
        for (reply_to, reply) in step.replies {
            if let Some(answer) = gathered.answers.remove(&reply_to) {
                releases.push(Box::new(move || {
                    // The caller may have gone.
                    let _gone = answer.send(reply);
                }));
            }
        }
        releases.extend(gathered.reads.into_iter().map(|read| read(&self.core)));
        Group {
            writes: step.writes,
            effects: step.effects,
            releases,
            work: gathered.work,
        }
    }
}
