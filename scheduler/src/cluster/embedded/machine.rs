//! What this machine has, and its share for each agent.

use std::io;
use std::path::Path;

use aurora_core::resources::Resources;

use super::config::AgentSize;
use super::error::EmbeddedError;

/// Returns what one of `n_agents` agents offers.
pub(super) fn agent_resources(
    size: &AgentSize,
    n_agents: u64,
    work_dir: &Path,
) -> Result<Resources, EmbeddedError> {
    let cpu_millis = match size.cpu_millis {
        Some(given) => given,
        None => {
            let cores =
                std::thread::available_parallelism().map_err(|source| EmbeddedError::Machine {
                    what: "cores",
                    source,
                })?;
            u64::try_from(cores.get()).unwrap_or(1).saturating_mul(1000) / n_agents
        }
    };
    let ram = match size.ram {
        Some(given) => given,
        // The rest is for the scheduler, the executors and the system.
        None => {
            rustix::system::sysinfo()
                .totalram
                .saturating_mul(ram_unit())
                / 10
                * 9
                / n_agents
        }
    };
    let disk = match size.disk {
        Some(given) => given,
        None => file_system(work_dir)?.total / n_agents,
    };
    Ok(Resources {
        cpu_millis,
        ram,
        disk,
        gpu: size.gpu,
    })
}

fn ram_unit() -> u64 {
    u64::from(rustix::system::sysinfo().mem_unit).max(1)
}

/// The size of a file system.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileSystem {
    /// Bytes of it.
    pub(super) total: u64,
    /// Bytes that ordinary users may still write.
    pub(super) available: u64,
}

/// Returns the size of the file system that holds `path`.
pub(super) fn file_system(path: &Path) -> Result<FileSystem, EmbeddedError> {
    let stat = rustix::fs::statvfs(path).map_err(|errno| EmbeddedError::Machine {
        what: "disk space",
        source: io::Error::from(errno),
    })?;
    Ok(FileSystem {
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
        available: stat.f_bavail.saturating_mul(stat.f_frsize),
    })
}

/// Returns the machine's own name.
pub(super) fn hostname() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}
