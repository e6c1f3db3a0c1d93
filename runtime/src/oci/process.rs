//! What runs: command, environment, working directory, rights.

use minik_api::cri;
use oci_spec::runtime::{LinuxCapabilities, Process, ProcessBuilder, UserBuilder};

use super::{SpecError, SpecInputs, capabilities, users};

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn process(inputs: &SpecInputs<'_>) -> Result<Process, SpecError> {
    let (container, context) = (inputs.container, inputs.security());
    let image = inputs.image.config().clone().unwrap_or_default();
    let user = users::of_container(&context, image.user().as_deref().unwrap_or_default(), &inputs.users)?;
    let resources = container.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    let cwd = [
        container.working_dir.as_str(),
        image.working_dir().as_deref().unwrap_or_default(),
        "/",
    ];
    let sets = capabilities::sets(&context, inputs.host)?;
    let capabilities = LinuxCapabilities::default()
        .set_bounding(Some(sets.bounding.clone()))
        .set_effective(Some(sets.bounding.clone()))
        .set_permitted(Some(sets.bounding))
        .set_inheritable(Some(sets.ambient.clone()))
        .set_ambient(Some(sets.ambient))
        .clone();
    let home = inputs.users.home(user.uid);
    let oci_user = UserBuilder::default()
        .uid(user.uid)
        .gid(user.gid)
        .additional_gids(user.groups)
        .build();
    let mut process = ProcessBuilder::default()
        .terminal(container.tty)
        .user(oci_user.expect("all fields have defaults"))
        .args(args(container, image.entrypoint().as_deref(), image.cmd().as_deref())?)
        .env(env(inputs, image.env().as_deref().unwrap_or_default(), &home))
        .cwd(cwd.into_iter().find(|dir| !dir.is_empty()).unwrap_or("/"))
        .capabilities(capabilities)
        .no_new_privileges(context.no_new_privs)
        .build()
        .expect("all fields have defaults");
    // Without a word, the limits of the runtime itself are inherited.
    process.set_rlimits(None);
    let score = resources.and_then(|resources| i32::try_from(resources.oom_score_adj).ok());
    process.set_oom_score_adj(score.map(|score| score.max(inputs.host.least_oom_score_adj.unwrap_or(score))));
    Ok(process)
}

/// `command` replaces ENTRYPOINT and CMD, `args` replaces CMD alone (Kubernetes: "Define a Command and Arguments").
fn args(
    container: &cri::ContainerConfig,
    entrypoint: Option<&[String]>,
    cmd: Option<&[String]>,
) -> Result<Vec<String>, SpecError> {
    let (mut command, mut args) = (container.command.clone(), container.args.clone());
    if command.is_empty() {
        if args.is_empty() {
            args = cmd.unwrap_or_default().to_vec();
        }
        // `ENTRYPOINT [""]` is how a Dockerfile takes an inherited one away.
        command = entrypoint.filter(|entry| *entry != [""]).unwrap_or_default().to_vec();
    }
    command.append(&mut args);
    if command.is_empty() {
        Err(SpecError::NoCommand)
    } else {
        Ok(command)
    }
}

/// The image's variables, then the pod's: the last one of a name counts and stands where the first one did.
fn env(inputs: &SpecInputs<'_>, image: &[String], home: &str) -> Vec<String> {
    let container = inputs.container;
    let mut all: Vec<String> = Vec::with_capacity(image.len() + container.envs.len() + 4);
    let mut set = |entry: String| {
        let name = entry.split('=').next().unwrap_or_default().to_owned();
        match all
            .iter_mut()
            .find(|known| known.split('=').next() == Some(name.as_str()))
        {
            Some(known) => *known = entry,
            None => all.push(entry),
        }
    };
    set(DEFAULT_PATH.to_owned());
    set(format!("HOSTNAME={}", inputs.sandbox.hostname));
    set(format!("HOME={home}"));
    if container.tty {
        set("TERM=xterm".to_owned());
    }
    image.iter().cloned().for_each(&mut set);
    for pair in &container.envs {
        set(format!("{}={}", pair.key, String::from_utf8_lossy(&pair.value)));
    }
    if inputs.sandbox.hostname.is_empty() {
        all.retain(|entry| entry != "HOSTNAME=");
    }
    all
}
