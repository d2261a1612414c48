//! Figures for Prometheus. Read from the engine when they are asked for; nothing is counted
//! twice.

use aurora_core::Scheduler;
use aurora_core::counters::Counters;
use aurora_proto::v1::TaskState;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::api::Context;
use crate::engine::EngineError;

/// Renders metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Metrics;

/// What is read of the core, at one instant.
struct Figures {
    counters: Counters,
    tasks: Vec<(TaskState, u64)>,
    jobs: usize,
    offers: usize,
    agents: usize,
    pending_groups: usize,
}

impl Figures {
    fn of(core: &Scheduler) -> Self {
        Self {
            counters: core.counters().clone(),
            tasks: core.tasks_by_state().into_iter().collect(),
            jobs: core.job_count(),
            offers: core.outstanding_offers(),
            agents: core.agent_count(),
            pending_groups: core.pending_groups(),
        }
    }
}

impl Metrics {
    /// Returns all metrics in the OpenMetrics text format.
    pub(crate) async fn render(&self, context: &Context) -> Result<String, EngineError> {
        let figures = context.engine.read(Figures::of).await?;
        let uptime = context.clock.now().since(context.started);
        let mut registry = Registry::with_prefix("aurora");
        register_state(&mut registry, &figures);
        register_counters(&mut registry, &figures.counters);
        registry.register(
            "scheduler_uptime_seconds",
            "Time since the scheduler started",
            ConstGauge::new(uptime.as_secs_f64()),
        );
        registry.register(
            "scheduler_leading",
            "1 while this scheduler takes calls",
            ConstGauge::new(i64::from(context.engine.fatal().borrow().is_none())),
        );
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &registry) {
            tracing::error!("metrics cannot be rendered: {error}");
        }
        Ok(text)
    }
}

fn register_state(registry: &mut Registry, figures: &Figures) {
    let tasks = Family::<Vec<(&'static str, &'static str)>, Gauge>::default();
    for (state, count) in &figures.tasks {
        tasks
            .get_or_create(&vec![("state", state.as_str_name())])
            .set(i64::try_from(*count).unwrap_or(i64::MAX));
    }
    registry.register("task_store", "Tasks that are kept, by state", tasks);
    let gauges = [
        ("jobs", "Jobs that are kept", figures.jobs),
        ("outstanding_offers", "Offers that stand", figures.offers),
        ("agents", "Agents that are known", figures.agents),
        (
            "pending_groups",
            "Groups of tasks that wait for a host",
            figures.pending_groups,
        ),
    ];
    for (name, help, value) in gauges {
        registry.register(
            name,
            help,
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)),
        );
    }
}

fn register_counters(registry: &mut Registry, counters: &Counters) {
    for (name, help, value) in task_counters(counters)
        .into_iter()
        .chain(other_counters(counters))
    {
        registry.register(name, help, ConstCounter::new(value));
    }
}

/// A counter's name, what it counts, and how far it is.
type Counter = (&'static str, &'static str, u64);

#[rustfmt::skip]
fn task_counters(c: &Counters) -> [Counter; 9] {
    [
        ("task_transitions", "Changes of a task's state", c.transitions),
        ("illegal_task_state_transitions", "Changes of state that are not legal", c.illegal_transitions),
        ("schedule_attempts_fired", "Turns of task groups", c.schedule_attempts),
        ("schedule_attempts_no_match", "Turns that placed nothing", c.schedule_attempts_no_match),
        ("placements", "Tasks given to agents", c.placements),
        ("timed_out_tasks", "Tasks lost for want of news", c.timed_out_tasks),
        ("task_kill_retries", "Kills sent again", c.task_kill_retries),
        ("tasks_throttled", "Replacements that serve a penalty", c.throttled_tasks),
        ("tasks_pruned", "Records of ended tasks deleted", c.pruned_tasks),
    ]
}

#[rustfmt::skip]
fn other_counters(c: &Counters) -> [Counter; 8] {
    [
        ("calls", "Calls that could have changed something", c.calls),
        ("calls_refused", "Calls that were refused", c.calls_refused),
        ("status_updates", "Status updates from the cluster", c.status_updates),
        ("status_updates_unknown_task", "Status updates about unknown tasks", c.status_updates_unknown_task),
        ("offers_received", "Offers that came", c.offers_received),
        ("offers_rescinded", "Offers that were withdrawn", c.offers_rescinded),
        ("offers_declined", "Offers given back unused", c.offers_declined),
        ("reconciliations", "Comparisons with the cluster's tasks", c.reconciliations),
    ]
}
