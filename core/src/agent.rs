//! An agent as the core knows it: what it is, what runs there, and what it offers now.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::cluster::{Attributes, OfferId};
use crate::ids::TaskNumber;
use crate::resources::Resources;
use crate::time::Timestamp;

/// One agent.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) id: Arc<str>,
    pub(crate) host: Arc<str>,
    pub(crate) attributes: Arc<Attributes>,
    /// Tasks that it has and that have not ended.
    pub(crate) tasks: BTreeSet<TaskNumber>,
    /// Tasks, ended ones too, that were placed on it.
    pub(crate) users: usize,
    /// Of the tasks that it has, without executors.
    pub(crate) used: Resources,
    /// What stands to be used; absent where nothing is offered.
    pub(crate) offered: Option<Offered>,
    /// Where the next search for a free port starts, so that a port that was just given back
    /// rests for a while.
    pub(crate) next_port: u16,
    /// When it was last heard of.
    pub(crate) seen: Timestamp,
    /// Will not come back.
    pub(crate) gone: bool,
    /// When the timer that looks after its offers goes off; one is enough.
    pub(crate) expiry_timer: Option<Timestamp>,
    /// Has a record in the store.
    pub(crate) stored: bool,
}

/// All standing offers of one agent, as one.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    pub(crate) offers: Vec<OfferId>,
    pub(crate) available: Resources,
    /// Disjoint and in order.
    pub(crate) ports: Vec<RangeInclusive<u16>>,
    /// When the oldest of the offers has been held long enough.
    pub(crate) expires: Option<Timestamp>,
}

impl Agent {
    pub(crate) fn new(id: Arc<str>, host: Arc<str>, attributes: Arc<Attributes>) -> Self {
        Self {
            id,
            host,
            attributes,
            tasks: BTreeSet::new(),
            users: 0,
            used: Resources::default(),
            offered: None,
            next_port: 0,
            seen: Timestamp(0),
            gone: false,
            expiry_timer: None,
            stored: false,
        }
    }
}
