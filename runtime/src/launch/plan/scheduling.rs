//! Scheduler, I/O priority, CPU affinity and personality of config.json as numbers of the kernel (sched_setattr(2),
//! ioprio_set(2), personality(2)).

use oci_spec::runtime::{
    ExecCPUAffinity, IOPriorityClass, LinuxIOPriority, LinuxPersonality, LinuxPersonalityDomain, LinuxSchedulerFlag,
    LinuxSchedulerPolicy, Scheduler,
};

use super::PlanError;
use crate::sys::priority::Scheduling;

/// More CPUs than the kernel can have.
const MAX_CPU: usize = 8192;

type Cpus = Option<Vec<usize>>;

pub(super) fn scheduling(asked: &Scheduler) -> Result<Scheduling, PlanError> {
    let policy = match asked.policy() {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
        LinuxSchedulerPolicy::SchedIso => {
            return Err(PlanError::Unsupported {
                field: "process.scheduler.policy",
                value: "SCHED_ISO".to_owned(),
                why: "Linux reserves the name and has no such policy",
            });
        }
    };
    let flag = |flag: &LinuxSchedulerFlag| match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    };
    Ok(Scheduling {
        size: 0,
        policy,
        flags: asked.flags().iter().flatten().map(flag).fold(0, |all, bit| all | bit),
        nice: asked.nice().unwrap_or(0),
        priority: asked
            .priority()
            .and_then(|priority| u32::try_from(priority).ok())
            .unwrap_or(0),
        runtime: asked.runtime().unwrap_or(0),
        deadline: asked.deadline().unwrap_or(0),
        period: asked.period().unwrap_or(0),
    })
}

pub(super) fn io_priority(asked: &LinuxIOPriority) -> i32 {
    let class = match asked.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    class << 13 | i32::try_from(asked.priority().clamp(0, 7)).unwrap_or(0)
}

/// The number of personality(2).
///
/// # Errors
/// A flag; there are none.
pub fn personality(asked: &LinuxPersonality) -> Result<u32, PlanError> {
    if let Some(flag) = asked.flags().iter().flatten().next() {
        return Err(PlanError::Unsupported {
            field: "linux.personality.flags",
            value: flag.clone(),
            why: "the specification defines none",
        });
    }
    Ok(match asked.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    })
}

pub(super) fn affinity(asked: Option<&ExecCPUAffinity>) -> Result<(Cpus, Cpus), PlanError> {
    let list = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(cpus).transpose();
    asked.map_or(Ok((None, None)), |asked| {
        Ok((list(asked.initial())?, list(asked.cpu_affinity_final())?))
    })
}

/// `0-3,7` as numbers.
fn cpus(text: &str) -> Result<Vec<usize>, PlanError> {
    let number = |text: &str| text.trim().parse::<usize>().ok().filter(|cpu| *cpu < MAX_CPU);
    let mut all = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => all.extend(first..=last),
            _ => {
                return Err(PlanError::Unsupported {
                    field: "process.execCPUAffinity",
                    value: text.to_owned(),
                    why: "a list is like 0-3,7",
                });
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_the_kernels_numbers() {
        let asked = r#"{"policy":"SCHED_FIFO","priority":7,"flags":["SCHED_RESET_ON_FORK"]}"#;
        let asked: Scheduler = serde_json::from_str(asked).expect("a scheduler");
        let planned = scheduling(&asked).expect("a plan");
        assert_eq!((planned.policy, planned.priority, planned.flags), (1, 7, 1));
        let asked: Scheduler = serde_json::from_str(r#"{"policy":"SCHED_ISO"}"#).expect("a scheduler");
        assert!(scheduling(&asked).is_err());
        let asked: LinuxIOPriority =
            serde_json::from_str(r#"{"class":"IOPRIO_CLASS_IDLE","priority":2}"#).expect("a priority");
        assert_eq!(io_priority(&asked), 3 << 13 | 2);
        let asked: LinuxPersonality = serde_json::from_str(r#"{"domain":"LINUX32"}"#).expect("a personality");
        assert_eq!(personality(&asked), Ok(8));
        let asked: LinuxPersonality =
            serde_json::from_str(r#"{"domain":"LINUX","flags":["X"]}"#).expect("a personality");
        assert!(personality(&asked).is_err());
    }

    #[test]
    fn lists_of_cpus() {
        assert_eq!(cpus("0-2,7"), Ok(vec![0, 1, 2, 7]));
        for wrong in ["", "a", "3-1", "1-", "99999"] {
            assert!(cpus(wrong).is_err(), "{wrong}");
        }
    }
}
