//! Device rules on cgroup v2: a BPF program, since there is no control file (cgroup-v2.rst, "Device controller").
//!
//! The last rule that matches decides, as on v1 where each rule is written after the one before; so the program asks them
//! from the last to the first. Without a match the device is allowed: a list that means to deny says so first.

use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::sys::bpf::{Instruction, attach_device_filter, load_device_filter};

// struct bpf_cgroup_dev_ctx, and what its access_type holds: the kind in the low half, the access in the high one.
const KIND_BLOCK: i32 = 1;
const KIND_CHARACTER: i32 = 2;
const MAKE: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;

// Opcodes (Documentation/bpf/standardization/instruction-set.rst).
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const AND_WORD: u8 = 0x54;
const SHIFT_RIGHT_WORD: u8 = 0x74;
const JUMP_NOT_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

/// Whether this kernel takes such programs.
pub(super) fn available() -> bool {
    load_device_filter(&compile(&[])).is_ok()
}

/// Enforces rules on a cgroup and those below.
pub(super) fn attach(directory: &Path, rules: &[LinuxDeviceCgroup]) -> Result<(), Errno> {
    let program = load_device_filter(&compile(rules))?;
    let flags = nix::fcntl::OFlag::O_DIRECTORY | nix::fcntl::OFlag::O_CLOEXEC;
    let cgroup = nix::fcntl::open(directory, flags, nix::sys::stat::Mode::empty())?;
    attach_device_filter(cgroup.as_fd(), program.as_fd())
}

fn compile(rules: &[LinuxDeviceCgroup]) -> Vec<Instruction> {
    // r2: kind, r3: access, r4: major, r5: minor.
    let mut program = vec![
        instruction(LOAD_WORD, 2, 1, 0, 0),
        instruction(MOVE_REGISTER, 3, 2, 0, 0),
        instruction(AND_WORD, 2, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT_WORD, 3, 0, 0, 16),
        instruction(LOAD_WORD, 4, 1, 4, 0),
        instruction(LOAD_WORD, 5, 1, 8, 0),
    ];
    for rule in rules.iter().rev() {
        let checks = checks(rule);
        let verdict = [
            instruction(MOVE, 0, 0, 0, i32::from(rule.allow())),
            instruction(EXIT, 0, 0, 0, 0),
        ];
        // A check that fails jumps over what is left of this rule; the instructions counted are those after it.
        let length = checks.len() + verdict.len();
        for (at, mut check) in checks.into_iter().enumerate() {
            if check.code == JUMP_NOT_EQUAL {
                check.offset = i16::try_from(length - at - 1).expect("a rule has a handful of checks");
            }
            program.push(check);
        }
        program.extend(verdict);
        if is_everything(rule) {
            // Nothing before it can matter, and the verifier refuses what can't be reached.
            return program;
        }
    }
    program.extend([instruction(MOVE, 0, 0, 0, 1), instruction(EXIT, 0, 0, 0, 0)]);
    program
}

fn checks(rule: &LinuxDeviceCgroup) -> Vec<Instruction> {
    if is_everything(rule) {
        return Vec::new();
    }
    let kind = if rule.typ() == Some(LinuxDeviceType::B) {
        KIND_BLOCK
    } else {
        KIND_CHARACTER
    };
    let mut checks = vec![instruction(JUMP_NOT_EQUAL, 2, 0, 0, kind)];
    let named = rule.access().as_deref().unwrap_or("rwm");
    let bits = [('r', READ), ('w', WRITE), ('m', MAKE)];
    let access = bits
        .iter()
        .filter(|(letter, _)| named.contains(*letter))
        .fold(0, |all, (_, bit)| all | bit);
    if access != READ | WRITE | MAKE {
        // The rule has to cover all that is asked for.
        checks.push(instruction(MOVE_REGISTER, 1, 3, 0, 0));
        checks.push(instruction(AND_WORD, 1, 0, 0, !access & 0xffff));
        checks.push(instruction(JUMP_NOT_EQUAL, 1, 0, 0, 0));
    }
    for (register, number) in [(4, rule.major()), (5, rule.minor())] {
        let number = number
            .and_then(|number| i32::try_from(number).ok())
            .filter(|number| *number >= 0);
        checks.extend(number.map(|number| instruction(JUMP_NOT_EQUAL, register, 0, 0, number)));
    }
    checks
}

fn is_everything(rule: &LinuxDeviceCgroup) -> bool {
    !matches!(
        rule.typ(),
        Some(LinuxDeviceType::B | LinuxDeviceType::C | LinuxDeviceType::U)
    )
}

fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: source << 4 | destination,
        offset,
        immediate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(json: &str) -> Vec<LinuxDeviceCgroup> {
        serde_json::from_str(json).expect("valid rules")
    }

    #[test]
    fn the_verifier_takes_every_shape() {
        let lists = [
            "[]",
            r#"[{"allow":false,"access":"rwm"}]"#,
            r#"[{"allow":true,"type":"c","major":1,"minor":3,"access":"r"},{"allow":false,"type":"b","access":"wm"}]"#,
            r#"[{"allow":false,"type":"a"},{"allow":true,"type":"c","major":136,"access":"rwm"}]"#,
        ];
        for list in lists {
            let program = compile(&rules(list));
            assert!(load_device_filter(&program).is_ok(), "{list}: {program:?}");
        }
        let default = crate::oci::devices::rules(false, &[]);
        assert!(load_device_filter(&compile(&default)).is_ok());
    }
}
