//! A seccomp profile of config.json as BPF programs.
//!
//! seccompiler's filters know two actions each, a profile may know several; so there is one filter a distinct action,
//! stacked. The kernel takes the strictest answer, and of equally strict ones that of the filter installed last
//! (seccomp(2)): the base filter answers "allowed or the default", and those after it only make an answer stricter or say
//! which errno it is, which is how clone3 answers ENOSYS and C libraries fall back to clone.

use std::collections::BTreeMap;

use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator, LinuxSyscall,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::{PlanError, syscalls};

/// A compiled filter.
#[derive(Debug)]
pub struct Filter {
    /// What the kernel runs at each system call.
    pub program: BpfProgram,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u64,
    /// Whether it asks an agent.
    pub notifies: bool,
}

/// What stands for "ask an agent" while seccompiler builds a program, since it knows no such action; no profile can say it,
/// as its own numbers for tracers are kept below.
const NOTIFY: SeccompAction = SeccompAction::Trace(0xffff);
const RETURN_TRACE: u32 = 0x7ff0_0000;
const RETURN_USER_NOTIFICATION: u32 = 0x7fc0_0000;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

pub(super) fn compile(profile: &LinuxSeccomp) -> Result<Vec<Filter>, PlanError> {
    let flags = profile.flags().iter().flatten().map(flag).fold(0, |all, bit| all | bit);
    refuse_notifying_nobody(profile)?;
    let default = action(profile.default_action(), profile.default_errno_ret())?;
    let mut base = Rules::new();
    let mut stacked: Vec<(SeccompAction, Rules)> = Vec::new();
    for entry in profile.syscalls().iter().flatten() {
        let answer = action(entry.action(), entry.errno_ret())?;
        if answer == default {
            continue;
        }
        // An answer laxer than the default has to be let through by the base filter.
        if strictness(&answer) < strictness(&default) {
            add(&mut base, entry)?;
        }
        if answer != SeccompAction::Allow {
            match stacked.iter_mut().find(|(known, _)| *known == answer) {
                Some((_, rules)) => add(rules, entry)?,
                None => {
                    let mut rules = Rules::new();
                    add(&mut rules, entry)?;
                    stacked.push((answer, rules));
                }
            }
        }
    }
    let mut programs = Vec::with_capacity(1 + stacked.len());
    if default != SeccompAction::Allow {
        programs.push(build(base, default, SeccompAction::Allow, flags)?);
    }
    for (answer, rules) in stacked {
        programs.push(build(rules, SeccompAction::Allow, answer, flags)?);
    }
    Ok(programs)
}

fn build(rules: Rules, otherwise: SeccompAction, matching: SeccompAction, flags: u64) -> Result<Filter, PlanError> {
    let notifies = [&otherwise, &matching].contains(&&NOTIFY);
    let refuse = |error: seccompiler::BackendError| PlanError::Seccomp(error.to_string());
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(refuse)?;
    let filter = SeccompFilter::new(rules, otherwise, matching, arch).map_err(refuse)?;
    let mut program: BpfProgram = filter.try_into().map_err(refuse)?;
    for instruction in &mut program {
        if instruction.code == RETURN && instruction.k == RETURN_TRACE | 0xffff {
            instruction.k = RETURN_USER_NOTIFICATION;
        }
    }
    Ok(Filter {
        program,
        // Who waits for the agent may be killed only if that was asked for, and without a listener the flag is an error.
        flags: if notifies {
            flags
        } else {
            flags & !libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
        },
        notifies,
    })
}

/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;

fn flag(flag: &LinuxSeccompFilterFlag) -> u64 {
    match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG,
        // The process has one thread, and with a listener the kernel refuses it.
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
    }
}

/// Names that this architecture doesn't have are skipped, as every runtime does: profiles list them all.
fn add(rules: &mut Rules, entry: &LinuxSyscall) -> Result<(), PlanError> {
    let args = entry.args().as_deref().unwrap_or_default();
    for name in entry.names() {
        let Some(number) = syscalls::number(name) else { continue };
        let known = rules.get(&number);
        if args.is_empty() {
            // Without conditions the call always matches, which an empty list of rules stands for.
            rules.insert(number, Vec::new());
        } else if known.is_none_or(|rules| !rules.is_empty()) {
            let conditions = args.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
            let rule = SeccompRule::new(conditions).map_err(|error| PlanError::Seccomp(error.to_string()))?;
            rules.entry(number).or_default().push(rule);
        }
    }
    Ok(())
}

fn condition(arg: &LinuxSeccompArg) -> Result<SeccompCondition, PlanError> {
    let (operator, value) = match arg.op() {
        LinuxSeccompOperator::ScmpCmpEq => (SeccompCmpOp::Eq, arg.value()),
        LinuxSeccompOperator::ScmpCmpNe => (SeccompCmpOp::Ne, arg.value()),
        LinuxSeccompOperator::ScmpCmpLt => (SeccompCmpOp::Lt, arg.value()),
        LinuxSeccompOperator::ScmpCmpLe => (SeccompCmpOp::Le, arg.value()),
        LinuxSeccompOperator::ScmpCmpGe => (SeccompCmpOp::Ge, arg.value()),
        LinuxSeccompOperator::ScmpCmpGt => (SeccompCmpOp::Gt, arg.value()),
        // The specification puts the mask into `value` and what it is compared with into `valueTwo`.
        LinuxSeccompOperator::ScmpCmpMaskedEq => (SeccompCmpOp::MaskedEq(arg.value()), arg.value_two().unwrap_or(0)),
    };
    let index = u8::try_from(arg.index()).unwrap_or(u8::MAX);
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, operator, value)
        .map_err(|error| PlanError::Seccomp(error.to_string()))
}

/// An agent listens somewhere, and isn't asked about what brings it the listener itself.
fn refuse_notifying_nobody(profile: &LinuxSeccomp) -> Result<(), PlanError> {
    let notify = |action| action == LinuxSeccompAction::ScmpActNotify;
    let refused = |value: &str, why| PlanError::Unsupported {
        field: "linux.seccomp",
        value: value.to_owned(),
        why,
    };
    if notify(profile.default_action()) {
        return Err(refused(
            "defaultAction",
            "SCMP_ACT_NOTIFY can't be the default: nobody could answer for the agent",
        ));
    }
    let mut asking = profile
        .syscalls()
        .iter()
        .flatten()
        .filter(|entry| notify(entry.action()))
        .peekable();
    if asking.peek().is_some() && profile.listener_path().is_none() {
        return Err(refused(
            "SCMP_ACT_NOTIFY",
            "listenerPath has to name the agent's socket",
        ));
    }
    if asking.any(|entry| entry.names().iter().any(|name| name == "sendmsg")) {
        return Err(refused(
            "sendmsg",
            "the agent gets its descriptor by this very call, so it can't be asked about it",
        ));
    }
    Ok(())
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<SeccompAction, PlanError> {
    let errno = errno.unwrap_or(libc::EPERM as u32);
    Ok(match action {
        LinuxSeccompAction::ScmpActAllow => SeccompAction::Allow,
        LinuxSeccompAction::ScmpActErrno => SeccompAction::Errno(errno),
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => SeccompAction::KillThread,
        LinuxSeccompAction::ScmpActKillProcess => SeccompAction::KillProcess,
        LinuxSeccompAction::ScmpActTrap => SeccompAction::Trap,
        LinuxSeccompAction::ScmpActTrace => SeccompAction::Trace(errno.min(0xfffe)),
        LinuxSeccompAction::ScmpActLog => SeccompAction::Log,
        LinuxSeccompAction::ScmpActNotify => NOTIFY,
    })
}

/// The kernel's precedence of actions (seccomp(2), "return value precedence").
fn strictness(action: &SeccompAction) -> u8 {
    match action {
        SeccompAction::Allow => 0,
        SeccompAction::Log => 1,
        notify if *notify == NOTIFY => 3,
        SeccompAction::Trace(_) => 2,
        SeccompAction::Errno(_) => 4,
        SeccompAction::Trap => 5,
        SeccompAction::KillThread => 6,
        SeccompAction::KillProcess => 7,
    }
}
