//! `start`: knock at the door of a made container, and hear whether its command was executed.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, connect, socket};
use nix::sys::stat::Mode;

use super::flags::Given;
use super::launching::{Answers, follow};
use super::record::{Place, Record};
use super::{CommandError, Context, Outcome, Verb, create, delete};
use crate::cgroup;
use crate::launch::hooks;
use crate::oci::Status;

pub(super) const START: Verb = Verb {
    name: "start",
    about: "have a made container's command executed",
    flags: &[],
    arguments: (1, 1),
    wanted: "exactly 1 argument: the container's id",
    run: start,
    failure: 1,
};

fn start(context: &Context, given: &Given) -> Outcome {
    let (place, mut record) = context.container(given)?;
    match record.status(cgroup::mounted().ok().as_deref()) {
        Status::Created => {}
        Status::Stopped => return Err(CommandError::Stopped("start")),
        Status::Running | Status::Paused => return Err(CommandError::AlreadyStarted),
        status @ Status::Creating => {
            return Err(CommandError::Status {
                verb: "start",
                status: status.word(),
            });
        }
    }
    let visit = knock(&place).map_err(|errno| match errno {
        // Another start was faster, or the process has ended a moment ago.
        Errno::ECONNREFUSED | Errno::ENOENT => CommandError::Stopped("start"),
        errno => CommandError::system("knock at the container's door")(errno),
    })?;
    record.started = true;
    place.save(&record)?;
    let _ = fs::remove_file(place.door());
    let spec = place.spec()?;
    let mut answers = Answers {
        log: &context.log,
        console: None,
        agent: create::agent(&spec),
        state: record.state(Status::Created, spec.annotations().clone().unwrap_or_default()),
        hooks: &mut || Ok(()),
    };
    follow(visit.as_fd(), &mut answers)?;
    after_start(context, &place, &record)?;
    Ok(0)
}

fn knock(place: &Place) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = nix::fcntl::open(place.path(), flags, Mode::empty())?;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    connect(socket.as_raw_fd(), &create::door_address(&directory)?)?;
    nix::fcntl::fcntl(&socket, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(socket)
}

/// The hooks that run once the command does; a container whose hooks fail is not what was asked for, and is ended.
pub(super) fn after_start(context: &Context, place: &Place, record: &Record) -> Result<(), CommandError> {
    let spec = place.spec()?;
    let Some(poststart) = spec.hooks().as_ref().and_then(|hooks| hooks.poststart().as_ref()) else {
        return Ok(());
    };
    let state = record.state(Status::Running, spec.annotations().clone().unwrap_or_default());
    hooks::run(poststart, &state).map_err(|error| {
        let _ = delete::end(context, record, Signal::SIGKILL as i32);
        error.into()
    })
}
