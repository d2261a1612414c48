//! A launch as the executor API says it.

use std::collections::HashMap;
use std::path::Path;

use aurora_core::cluster::Launch;
use aurora_core::resources::{Resources, millis_to_cores};
use aurora_mesos::v1;
use aurora_proto::v1::AssignedTask;
use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};

// More jobs than are launched at a time.
const MAX_CACHED_CONFIGS: usize = 1024;
// Of `config` in `aurora.v1.AssignedTask`.
const CONFIG_FIELD: u32 = 7;

/// Encodes launches; a configuration is encoded once for all tasks that share it.
#[derive(Debug, Default)]
pub(super) struct TaskEncoder {
    configs: HashMap<[u8; 32], Bytes>,
}

/// Where and as whom a task is to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The cluster's name.
    pub(super) cluster: &'a str,
    /// The agent's host name.
    pub(super) host: &'a str,
    /// The agent.
    pub(super) agent_id: &'a str,
    /// The task's own directory.
    pub(super) sandbox: &'a Path,
    /// `role` or `self`.
    pub(super) run_as: &'a str,
}

impl TaskEncoder {
    /// Returns what the executor is told.
    pub(super) fn encode(&mut self, launch: &Launch, place: &Place<'_>) -> v1::TaskInfo {
        let label = |key: &str, value: String| v1::Label {
            key: key.to_owned(),
            value: Some(value),
        };
        let job = &launch.job;
        let labels = vec![
            label(
                "aurora.sandbox",
                place.sandbox.to_string_lossy().into_owned(),
            ),
            label("aurora.run_as", place.run_as.to_owned()),
        ];
        v1::TaskInfo {
            name: format!("{}/{}/{}", job.role, job.environment, job.name),
            task_id: v1::TaskId {
                value: launch.task_id.clone(),
            },
            agent_id: v1::AgentId {
                value: place.agent_id.to_owned(),
            },
            resources: mesos_resources(&launch.resources, launch.ports.iter().map(|port| port.1)),
            data: Some(self.assigned_task(launch, place)),
            labels: Some(v1::Labels { labels }),
            ..v1::TaskInfo::default()
        }
    }

    fn assigned_task(&mut self, launch: &Launch, place: &Place<'_>) -> Bytes {
        let task = AssignedTask {
            task_id: launch.task_id.clone(),
            job: Some(launch.job.clone()),
            cluster: place.cluster.to_owned(),
            instance: launch.instance,
            host: place.host.to_owned(),
            ports: launch
                .ports
                .iter()
                .map(|(name, port)| (name.clone(), u32::from(*port)))
                .collect(),
            config: None,
        };
        let config = self.config(launch);
        let mut data = Vec::with_capacity(task.encoded_len() + config.len() + 8);
        task.encode_raw(&mut data);
        // The last field of the message, so that this is what encoding it as a whole gives.
        encode_key(CONFIG_FIELD, WireType::LengthDelimited, &mut data);
        encode_varint(config.len() as u64, &mut data);
        data.extend_from_slice(&config);
        data.into()
    }

    fn config(&mut self, launch: &Launch) -> Bytes {
        if let Some(encoded) = self.configs.get(&launch.config_digest) {
            return encoded.clone();
        }
        if self.configs.len() >= MAX_CACHED_CONFIGS {
            self.configs.clear();
        }
        let encoded = Bytes::from(launch.config.encode_to_vec());
        self.configs.insert(launch.config_digest, encoded.clone());
        encoded
    }
}

/// Returns resources as Mesos names them: cores, megabytes and ranges.
pub(super) fn mesos_resources(
    resources: &Resources,
    ports: impl Iterator<Item = u16>,
) -> Vec<v1::Resource> {
    let scalar = |name: &str, value: f64| v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        ..v1::Resource::default()
    };
    let mut list = vec![
        scalar("cpus", millis_to_cores(resources.cpu_millis)),
        scalar("mem", megabytes(resources.ram)),
        scalar("disk", megabytes(resources.disk)),
    ];
    if resources.gpu > 0 {
        list.push(scalar(
            "gpus",
            millis_to_cores(resources.gpu.saturating_mul(1000)),
        ));
    }
    let range: Vec<_> = ports
        .map(|port| v1::value::Range {
            begin: u64::from(port),
            end: u64::from(port),
        })
        .collect();
    if !range.is_empty() {
        list.push(v1::Resource {
            name: "ports".to_owned(),
            r#type: v1::value::Type::Ranges.into(),
            ranges: Some(v1::value::Ranges { range }),
            ..v1::Resource::default()
        });
    }
    list
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to 8 PiB, and nobody counts bytes there"
)]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aurora_proto::v1::{JobKey, TaskConfig};

    use super::*;

    #[test]
    fn data_is_the_whole_assigned_task() {
        let config = TaskConfig {
            name: "hello".to_owned(),
            ..TaskConfig::default()
        };
        let launch = Launch {
            task_id: "t".to_owned(),
            job: JobKey {
                role: "r".to_owned(),
                ..JobKey::default()
            },
            instance: 3,
            ports: vec![("http".to_owned(), 31_000)],
            config: Arc::new(config.clone()),
            config_digest: [1; 32],
            resources: Resources {
                cpu_millis: 500,
                ram: 1 << 20,
                disk: 3 << 19,
                gpu: 0,
            },
        };
        let place = Place {
            cluster: "c",
            host: "h",
            agent_id: "a",
            sandbox: Path::new("/s"),
            run_as: "self",
        };
        let mut encoder = TaskEncoder::default();
        for _ in 0..2 {
            let info = encoder.encode(&launch, &place);
            let task = AssignedTask::decode(info.data.unwrap()).unwrap();
            assert_eq!(task.config.as_ref(), Some(&config));
            assert_eq!((task.instance, task.ports["http"]), (3, 31_000));
            let amounts: Vec<_> = info
                .resources
                .iter()
                .filter_map(|r| Some(r.scalar.as_ref()?.value))
                .collect();
            assert_eq!(amounts, [0.5, 1.0, 1.5]);
        }
    }
}
