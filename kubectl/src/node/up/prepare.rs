//! What a node's programs are started with: a machine that is fit, ports, certificates, kubeconfigs.

use std::time::Instant;

use jiff::Timestamp;

use super::{UpError, UpOptions};
use crate::node::cluster::{ClusterError, admin_entry};
use crate::node::doctor;
use crate::node::files::{self, Durability};
use crate::node::host;
use crate::node::instance::Instance;
use crate::node::kubeconfig::{self, Entry, Target};
use crate::node::pki::{self, Names};
use crate::node::ports;
use crate::node::progress::Progress;

/// Says what keeps this machine from running a node.
pub(super) fn check_host(instance: &Instance, progress: &Progress) -> Result<(), UpError> {
    let began = Instant::now();
    progress.doing("checking this machine");
    let fatal = doctor::fatal_failures(instance);
    if !fatal.is_empty() {
        return Err(UpError::Unfit(doctor::explain(&fatal)));
    }
    check_runtime(instance)?;
    progress.done("machine checked", began.elapsed());
    Ok(())
}

/// Another container runtime has to be there before: nobody here starts it.
fn check_runtime(instance: &Instance) -> Result<(), UpError> {
    let Some(url) = &instance.runtime_endpoint else {
        return Ok(());
    };
    let connected = std::os::unix::net::UnixStream::connect(url.trim_start_matches("unix://"));
    connected.map(drop).map_err(|source| UpError::NoRuntime {
        url: url.clone(),
        source,
    })
}

/// Finds ports that are free, and says whose those are that aren't.
pub(super) fn choose_ports(instance: &mut Instance, progress: &Progress) -> Result<(), UpError> {
    let api = ports::choose(instance.api_port, instance.api_port_fixed, &ports::LOOPBACK);
    instance.api_port = api.port.ok_or_else(|| UpError::Port {
        program: "API server",
        taken: api.taken.clone(),
        advice: "Stop that process, or choose another port by --api-port PORT.",
    })?;
    let everywhere = [std::net::Ipv4Addr::UNSPECIFIED.into()];
    let kubelet = ports::choose(instance.kubelet_port, false, &everywhere);
    instance.kubelet_port = kubelet.port.ok_or_else(|| UpError::Port {
        program: "kubelet",
        taken: kubelet.taken.clone(),
        advice: "Stop one of those processes.",
    })?;
    for (taken, port) in api.taken.iter().map(|taken| (taken, instance.api_port)) {
        progress.warn(format_args!("{taken}; the API server listens on {port} instead"));
    }
    for taken in &kubelet.taken {
        progress.warn(format_args!(
            "{taken}; the kubelet listens on {} instead",
            instance.kubelet_port
        ));
    }
    Ok(())
}

/// Writes what the programs are started with.
pub(super) fn prepare(instance: &Instance, progress: &Progress) -> Result<(), UpError> {
    let began = Instant::now();
    progress.doing("preparing certificates");
    instance.remember()?;
    let names = Names {
        node_name: instance.node_name.clone(),
        node_ip: host::node_ip(),
        service_ip: instance.service_address(),
    };
    let dir = instance.pki_dir();
    let issued = pki::ensure(&dir, &names, Timestamp::now())?;
    write_kubeconfigs(instance)?;
    files::create_dir(&instance.log_dir(), 0o700)?;
    match issued.len() {
        0 => progress.done("certificates are good", began.elapsed()),
        count => progress.done(
            format_args!("{count} certificates issued in {}", dir.display()),
            began.elapsed(),
        ),
    }
    Ok(())
}

/// One kubeconfig a client of the API server, beside the certificates; `admin`'s is for people who debug.
fn write_kubeconfigs(instance: &Instance) -> Result<(), UpError> {
    let dir = instance.pki_dir();
    let missing = || ClusterError::NoCredentials(dir.clone());
    let authority = pki::load(&dir, pki::AUTHORITY)?.ok_or_else(missing)?;
    for user in ["admin", "scheduler", "controllers", "node"] {
        let credential = pki::load(&dir, user)?.ok_or_else(missing)?;
        let text = kubeconfig::standalone(&Entry {
            name: &instance.context,
            server: &instance.server_url(),
            authority: &authority.certificate,
            certificate: &credential.certificate,
            key: &credential.key,
        });
        files::write_if_changed(
            &dir.join(format!("{user}.kubeconfig")),
            text.as_bytes(),
            0o600,
            Durability::Remade,
        )?;
    }
    Ok(())
}

/// Puts the node's context into the user's kubeconfig.
pub(super) fn merge_kubeconfig(
    options: &UpOptions,
    instance: &Instance,
) -> Result<(Target, kubeconfig::Merged), UpError> {
    let target = Target::find(options.instance.kubeconfig.as_deref())?;
    let merged = admin_entry(instance, |entry| target.merge(entry, options.use_context))??;
    Ok((target, merged))
}
