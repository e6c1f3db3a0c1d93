//! Processes from clone to the end: launches that succeed or fail, children that are reaped, the sandbox's own end.

use std::os::fd::{AsFd, OwnedFd};

use nix::sys::epoll::EpollFlags;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::containers::{Container, Key, Launching, Phase};
use super::exit::now_nanos;
use super::log::Stream;
use super::poller::Token;
use super::protocol::{Fault, FaultKind, Response, ShimEvent};
use super::server::{Server, Source, Who};
use super::{Exit, namespaces};

impl Server {
    pub(super) fn launch_progress(&mut self, token: Token) {
        let Some(launching) = self.launches.get_mut(&token) else {
            return;
        };
        launching.pump();
        if !launching.ended {
            return;
        }
        if launching.succeeded() {
            self.sources.remove(&token);
            let launching = self.launches.remove(&token).expect("it was there a moment ago");
            self.launched(launching);
        } else {
            // It ends in a moment, and is told to its starter when it is reaped, with all that it had taken given back.
            let _ = self.poller.set(&launching.status, token, EpollFlags::empty());
        }
    }

    fn launched(&mut self, launching: Launching) {
        let started_at_nanos = now_nanos();
        let pid = launching.pid.as_raw();
        let response = Response::Started {
            pid,
            started_at_nanos,
            notes: launching.notes,
        };
        let Some(key) = launching.container else {
            return self.answer(launching.waiter, &response, launching.terminal);
        };
        if let Some(container) = self.containers.get_mut(&key) {
            container.phase = Phase::Running(started_at_nanos);
            let container_id = container.id.clone();
            if let Some(master) = launching.terminal
                && let Err(errno) = self.adopt_terminal(key, master)
            {
                eprintln!("shim: terminal of {container_id}: {errno}");
            }
            self.answer(launching.waiter, &response, None);
            if let Some(attached) = launching.attached
                && let Err(errno) = self.join(key, launching.waiter, attached)
            {
                eprintln!("shim: attach the client of {container_id}: {errno}");
            }
            self.tell(&ShimEvent::Started { container_id, pid });
        }
    }

    /// A terminal is the container's output and its input at once.
    pub(super) fn adopt_terminal(&mut self, key: Key, master: OwnedFd) -> std::io::Result<()> {
        let Some(container) = self.containers.get_mut(&key) else {
            return Ok(());
        };
        let input = container.streams.set_input(&mut self.poller, master.try_clone()?)?;
        let output = container
            .streams
            .add_output(&mut self.poller, master.try_clone()?, Stream::Stdout)?;
        container.terminal = Some(master);
        self.sources
            .extend([input, output].map(|token| (token, Source::Streams(key))));
        Ok(())
    }

    pub(super) fn signalled(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            if info.ssi_signo == Signal::SIGTERM as u32 {
                self.begin_stop(None);
            }
        }
        // Signals of one kind are merged, so each means "look at all children".
        while let Ok(status) = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                return;
            }
            if let (Some(pid), Some(exit)) = (status.pid(), Exit::of(status, now_nanos())) {
                self.reaped(pid, exit);
            }
        }
    }

    fn reaped(&mut self, pid: Pid, exit: Exit) {
        if self.reaped_by_runtime(pid, exit) {
            return;
        }
        let launch = self
            .launches
            .iter()
            .find(|(_, launching)| launching.pid == pid)
            .map(|(token, _)| *token);
        let mut failed = None;
        if let Some(token) = launch {
            // The end may be seen before what was reported before it.
            self.launch_progress(token);
            failed = self.launches.remove(&token);
            self.sources.remove(&token);
        }
        match (self.processes.remove(&pid), failed) {
            (Some(who), Some(launching)) => self.launch_failed(&who, launching, exit),
            (Some(Who::Container(key)), None) => self.container_ended(key, exit),
            (Some(Who::Exec { connection, .. }), None) => self.answer(connection, &Response::Exited(exit), None),
            (Some(Who::Pause), None) => eprintln!("shim: the pause process has ended, and all containers with it"),
            // A process that has lost its parent in the host's pid namespace.
            (None, _) => {}
        }
    }

    fn launch_failed(&mut self, who: &Who, launching: Launching, exit: Exit) {
        let fault = launching.failure.map_or_else(
            || {
                Fault::new(
                    FaultKind::Launch,
                    format!("the process ended before it executed its command: {exit:?}"),
                )
            },
            Fault::from,
        );
        if let Who::Container(key) = who {
            self.forget_launch(*key);
        }
        self.answer(launching.waiter, &Response::Fault(fault), None);
    }

    /// Gives back what a container that couldn't be started has taken.
    pub(super) fn forget_launch(&mut self, key: Key) {
        if let Some(mut container) = self.containers.remove(&key) {
            let changes = container.streams.finish(&self.poller);
            self.sources.retain(|token, _| !changes.closed.contains(token));
            self.remove_cgroup(&container);
        }
    }

    pub(super) fn container_ended(&mut self, key: Key, mut exit: Exit) {
        let Some(container) = self.containers.get_mut(&key) else {
            return;
        };
        let started = match container.phase {
            Phase::Running(started) | Phase::Ended(started, _) => started,
            Phase::Launching => exit.finished_at_nanos,
        };
        exit.oom_killed |= container
            .cgroup
            .as_ref()
            .is_some_and(|path| self.cgroups.oom_kills(path) > 0);
        container.phase = Phase::Ended(started, exit);
        let changes = container.streams.finish(&self.poller);
        if let Err(error) = exit.write(&container.bundle) {
            eprintln!("shim: exit.json of {}: {error}", container.id);
        }
        let container_id = container.id.clone();
        self.apply(key, changes);
        if let Some(container) = self.containers.get(&key) {
            self.remove_cgroup(container);
        }
        self.tell(&ShimEvent::Exited { container_id, exit });
    }

    /// In a pid namespace of its own nobody is left; elsewhere, all that the container started ends with it.
    fn remove_cgroup(&self, container: &Container) {
        let Some(path) = &container.cgroup else { return };
        let removed = self.cgroups.remove(path).or_else(|_| {
            self.cgroups.kill(path)?;
            self.cgroups.remove(path)
        });
        if let Err(error) = removed {
            // A killed process that isn't reaped yet holds it; the pod's end takes it away.
            eprintln!("shim: {error}");
        }
    }

    /// Kills all containers; the loop ends when they are reaped.
    pub(super) fn begin_stop(&mut self, waiter: Option<Token>) {
        self.stopping.get_or_insert_default().extend(waiter);
        for container in self.containers.values().filter(|container| container.exit().is_none()) {
            let _ = crate::sys::pidfd::send_signal(container.pidfd.as_fd(), libc::SIGKILL);
            if let Some(Err(error)) = container.cgroup.as_ref().map(|path| self.cgroups.kill(path)) {
                eprintln!("shim: {error}");
            }
        }
    }

    pub(super) fn stop(&mut self) {
        if let Some(pause) = &self.pause {
            let _ = crate::sys::pidfd::send_signal(pause.pidfd.as_fd(), libc::SIGKILL);
            let _ = waitpid(pause.pid, None);
        }
        if let Some(path) = &self.pod_cgroup {
            let removed = self.cgroups.kill(path).and_then(|()| self.cgroups.remove(path));
            if let Err(error) = removed {
                eprintln!("shim: {error}");
            }
        }
        namespaces::clean(&self.directory);
        let _ = std::fs::remove_file(self.directory.join("shim.sock"));
        let _ = std::fs::remove_file(self.directory.join("shim.pid"));
        for token in self.stopping.take().unwrap_or_default() {
            self.answer(token, &Response::Done, None);
        }
    }
}
