//! When the process gets the CPU and the disk, on which CPUs, and which personality it has.

use crate::launch::plan::ProcessPlan;
use crate::launch::report::{Failure, InStep};
use crate::sys;

/// As root of the host, who may raise priorities.
pub(crate) fn apply(process: &ProcessPlan) -> Result<(), Failure> {
    if let Some(cpus) = &process.affinity.0 {
        sys::priority::run_on(cpus).step("set initial CPU affinity", format!("{cpus:?}"))?;
    }
    if let Some(attributes) = &process.scheduler {
        sys::priority::schedule(attributes).step("set scheduler", format!("{attributes:?}"))?;
    }
    if let Some(priority) = process.io_priority {
        sys::priority::disk(priority).step("set I/O priority", priority.to_string())?;
    }
    match process.personality {
        Some(persona) => sys::priority::personality(persona).step("set personality", format!("{persona:#x}")),
        None => Ok(()),
    }
}

/// Once the process is in its cgroup, whose CPUs are others perhaps.
pub(crate) fn settle(process: &ProcessPlan) -> Result<(), Failure> {
    match &process.affinity.1 {
        Some(cpus) => sys::priority::run_on(cpus).step("set final CPU affinity", format!("{cpus:?}")),
        None => Ok(()),
    }
}
