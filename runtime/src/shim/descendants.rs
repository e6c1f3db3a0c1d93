//! A command and all that it started, killed together: what ExecSync's time limit is for. A container has one cgroup for all
//! of its commands, so who belongs to which is read from the processes' parents.

use std::collections::BTreeSet;
use std::os::fd::AsFd;

use nix::unistd::Pid;

use crate::sys::pidfd;

/// A process that starts others faster than they can be stopped is killed with those found by then.
const ROUNDS: usize = 16;

/// Kills a child of this process and everything below it.
///
/// Killed one by one, a parent's end would hide its children: they'd become children of the first process of their pid
/// namespace. So all are stopped first, until nobody is left who could start another one.
pub(super) fn kill(root: Pid) {
    let mut stopped = BTreeSet::new();
    for _ in 0..ROUNDS {
        let family = below(root, &parents());
        let new: Vec<Pid> = family.difference(&stopped).copied().collect();
        if new.is_empty() {
            break;
        }
        for pid in new {
            send(pid, libc::SIGSTOP);
            stopped.insert(pid);
        }
    }
    for pid in stopped {
        send(pid, libc::SIGKILL);
    }
}

/// It may have ended in this moment. While its parent is stopped, its number isn't given to another.
fn send(pid: Pid, signal: i32) {
    let _ = pidfd::open(pid).and_then(|fd| pidfd::send_signal(fd.as_fd(), signal));
}

/// `root` and all that descend from it.
fn below(root: Pid, parents: &[(Pid, Pid)]) -> BTreeSet<Pid> {
    let mut family = BTreeSet::from([root]);
    loop {
        let children = parents.iter().filter(|(_, parent)| family.contains(parent));
        let children: Vec<Pid> = children.map(|(pid, _)| *pid).collect();
        let before = family.len();
        family.extend(children);
        if family.len() == before {
            return family;
        }
    }
}

/// All processes, each with its parent.
fn parents() -> Vec<(Pid, Pid)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parent = |pid: i32| parent_of(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
    pids.filter_map(|pid| Some((Pid::from_raw(pid), Pid::from_raw(parent(pid)?))))
        .collect()
}

/// The parent in a line of proc_pid_stat(5). The name before it may hold anything, parentheses and line ends too.
fn parent_of(stat: &str) -> Option<i32> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    after_name.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_found_whatever_its_members_are_called() {
        assert_eq!(parent_of("12 (sh) S 3 12 12"), Some(3));
        assert_eq!(parent_of("12 (a) b\n) 7 () R 4 12"), Some(4));
        assert_eq!(parent_of(""), None);
        let pair = |pid, parent| (Pid::from_raw(pid), Pid::from_raw(parent));
        let table = [pair(9, 5), pair(5, 2), pair(2, 1), pair(3, 1), pair(7, 9)];
        let family = below(Pid::from_raw(5), &table);
        assert_eq!(family.into_iter().map(Pid::as_raw).collect::<Vec<_>>(), [5, 7, 9]);
    }
}
