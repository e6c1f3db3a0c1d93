//! A seccomp profile of config.json as BPF programs.
//!
//! seccompiler's filters know two actions each, a profile may know several; so there is one filter a distinct action,
//! stacked. The kernel takes the strictest answer, and of equally strict ones that of the filter installed last
//! (seccomp(2)): the base filter answers "allowed or the default", and those after it only make an answer stricter or say
//! which errno it is, which is how clone3 answers ENOSYS and C libraries fall back to clone.

use std::collections::BTreeMap;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::{PlanError, syscalls};

/// A compiled filter.
pub type Program = BpfProgram;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

pub(super) fn compile(profile: &LinuxSeccomp) -> Result<Vec<Program>, PlanError> {
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
        programs.push(build(base, default, SeccompAction::Allow)?);
    }
    for (answer, rules) in stacked {
        programs.push(build(rules, SeccompAction::Allow, answer)?);
    }
    Ok(programs)
}

fn build(rules: Rules, otherwise: SeccompAction, matching: SeccompAction) -> Result<Program, PlanError> {
    let refuse = |error: seccompiler::BackendError| PlanError::Seccomp(error.to_string());
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(refuse)?;
    let filter = SeccompFilter::new(rules, otherwise, matching, arch).map_err(refuse)?;
    filter.try_into().map_err(refuse)
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

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<SeccompAction, PlanError> {
    let errno = errno.unwrap_or(libc::EPERM as u32);
    Ok(match action {
        LinuxSeccompAction::ScmpActAllow => SeccompAction::Allow,
        LinuxSeccompAction::ScmpActErrno => SeccompAction::Errno(errno),
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => SeccompAction::KillThread,
        LinuxSeccompAction::ScmpActKillProcess => SeccompAction::KillProcess,
        LinuxSeccompAction::ScmpActTrap => SeccompAction::Trap,
        LinuxSeccompAction::ScmpActTrace => SeccompAction::Trace(errno),
        LinuxSeccompAction::ScmpActLog => SeccompAction::Log,
        LinuxSeccompAction::ScmpActNotify => {
            return Err(PlanError::Unsupported {
                field: "linux.seccomp",
                value: "SCMP_ACT_NOTIFY".to_owned(),
                why: "there is no agent to notify; use SCMP_ACT_ERRNO or SCMP_ACT_LOG",
            });
        }
    })
}

/// The kernel's precedence of actions (seccomp(2), "return value precedence").
fn strictness(action: &SeccompAction) -> u8 {
    match action {
        SeccompAction::Allow => 0,
        SeccompAction::Log => 1,
        SeccompAction::Trace(_) => 2,
        SeccompAction::Errno(_) => 3,
        SeccompAction::Trap => 4,
        SeccompAction::KillThread => 5,
        SeccompAction::KillProcess => 6,
    }
}
