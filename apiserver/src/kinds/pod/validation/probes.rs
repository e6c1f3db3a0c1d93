//! Probes and lifecycle hooks: who asks a container how it is, and what runs when it comes and goes.

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Lifecycle, LifecycleHandler, PodSpec, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use minik_api::field::{Error, Path};

use super::checks;

const NOT_FOR_INIT: &str = "may not be set for init containers without restartPolicy=Always";

/// All of a container that runs as long as the pod does.
pub(super) fn of_container(container: &Container, spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    if let Some(hooks) = &container.lifecycle {
        lifecycle(hooks, spec, &path.child("lifecycle"), errors);
    }
    let (liveness, readiness, startup) = (
        path.child("livenessProbe"),
        path.child("readinessProbe"),
        path.child("startupProbe"),
    );
    if let Some(probe) = &container.liveness_probe {
        self::probe(probe, &liveness, errors);
        succeeds_once(probe, &liveness, errors);
    }
    if let Some(probe) = &container.readiness_probe {
        self::probe(probe, &readiness, errors);
        if let Some(seconds) = probe.termination_grace_period_seconds {
            let path = readiness.child("terminationGracePeriodSeconds");
            errors.push(Error::invalid(&path, seconds, "must not be set for readinessProbes"));
        }
    }
    if let Some(probe) = &container.startup_probe {
        self::probe(probe, &startup, errors);
        succeeds_once(probe, &startup, errors);
    }
}

/// An init container runs to its end; there is nothing to probe.
pub(super) fn not_for_init(container: &Container, path: &Path, errors: &mut Vec<Error>) {
    for (field, there) in [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ] {
        if there {
            errors.push(Error::forbidden(&path.child(field), NOT_FOR_INIT));
        }
    }
}

fn succeeds_once(probe: &Probe, path: &Path, errors: &mut Vec<Error>) {
    let threshold = probe.success_threshold.unwrap_or(0);
    if threshold != 1 {
        errors.push(Error::invalid(&path.child("successThreshold"), threshold, "must be 1"));
    }
}

fn probe(probe: &Probe, path: &Path, errors: &mut Vec<Error>) {
    let mut handlers = Handlers { path, count: 0, errors };
    handlers.exec(
        probe
            .exec
            .as_ref()
            .map(|exec| exec.command.as_deref().unwrap_or_default()),
    );
    handlers.http(probe.http_get.as_ref());
    handlers.tcp(probe.tcp_socket.as_ref().map(|tcp| &tcp.port));
    handlers.one("grpc", probe.grpc.as_ref(), |grpc, path, errors| {
        checks::port_number(grpc.port, &path.child("port"), errors);
    });
    handlers.finish();
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        checks::not_negative(value.unwrap_or(0).into(), &path.child(field), errors);
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|&seconds| seconds <= 0) {
        let path = path.child("terminationGracePeriodSeconds");
        errors.push(Error::invalid(&path, seconds, "must be greater than 0"));
    }
}

fn lifecycle(hooks: &Lifecycle, spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    for (field, hook) in [("postStart", &hooks.post_start), ("preStop", &hooks.pre_stop)] {
        if let Some(hook) = hook {
            handler(hook, spec.termination_grace_period_seconds, &path.child(field), errors);
        }
    }
    if let Some(signal) = &hooks.stop_signal {
        let path = path.child("stopSignal");
        match spec.os.as_ref().map(|os| os.name.as_str()) {
            None => {
                let detail = "may not be set for containers with empty `spec.os.name`";
                errors.push(Error::forbidden(&path, detail));
            }
            Some("windows") => checks::one_of(Some(signal), &["SIGKILL", "SIGTERM"], &path, errors),
            Some(_) => checks::one_of(Some(signal), SIGNALS, &path, errors),
        }
    }
}

fn handler(hook: &LifecycleHandler, grace_seconds: Option<i64>, path: &Path, errors: &mut Vec<Error>) {
    let mut handlers = Handlers { path, count: 0, errors };
    handlers.exec(
        hook.exec
            .as_ref()
            .map(|exec| exec.command.as_deref().unwrap_or_default()),
    );
    handlers.http(hook.http_get.as_ref());
    handlers.tcp(hook.tcp_socket.as_ref().map(|tcp| &tcp.port));
    handlers.one("sleep", hook.sleep.as_ref(), |sleep, path, errors| {
        if let Some(grace) = grace_seconds.filter(|grace| !(0..=*grace).contains(&sleep.seconds)) {
            let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
            errors.push(Error::invalid(path, sleep.seconds, detail));
        }
    });
    handlers.finish();
}

/// Exactly one way to act; the second is told, not looked at.
struct Handlers<'a> {
    path: &'a Path,
    count: usize,
    errors: &'a mut Vec<Error>,
}

impl Handlers<'_> {
    fn one<T>(&mut self, field: &str, action: Option<T>, check: impl FnOnce(T, &Path, &mut Vec<Error>)) {
        let Some(action) = action else { return };
        let path = self.path.child(field);
        if self.count > 0 {
            self.errors
                .push(Error::forbidden(&path, "may not specify more than 1 handler type"));
        } else {
            self.count += 1;
            check(action, &path, self.errors);
        }
    }

    fn exec(&mut self, command: Option<&[String]>) {
        self.one("exec", command, |command, path, errors| {
            if command.is_empty() {
                errors.push(Error::required(&path.child("command"), ""));
            }
        });
    }

    fn http(&mut self, action: Option<&HTTPGetAction>) {
        self.one("httpGet", action, http_get);
    }

    fn tcp(&mut self, port: Option<&IntOrString>) {
        self.one("tcpSocket", port, |port, path, errors| {
            checks::port(port, &path.child("port"), errors)
        });
    }

    fn finish(self) {
        if self.count == 0 {
            self.errors
                .push(Error::required(self.path, "must specify a handler type"));
        }
    }
}

fn http_get(action: &HTTPGetAction, path: &Path, errors: &mut Vec<Error>) {
    checks::required(action.path.as_deref().unwrap_or_default(), &path.child("path"), errors);
    checks::port(&action.port, &path.child("port"), errors);
    let scheme = action.scheme.as_deref().unwrap_or_default();
    if !["HTTP", "HTTPS"].contains(&scheme) {
        errors.push(Error::not_supported(&path.child("scheme"), scheme, &["HTTP", "HTTPS"]));
    }
    for header in action.http_headers.iter().flatten() {
        let good = !header.name.is_empty() && header.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !good {
            let detail = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
            errors.push(Error::invalid(&path.child("httpHeaders"), header.name.as_str(), detail));
        }
    }
}

const SIGNALS: &[&str] = &[
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGRTMAX",
    "SIGRTMAX-1",
    "SIGRTMAX-10",
    "SIGRTMAX-11",
    "SIGRTMAX-12",
    "SIGRTMAX-13",
    "SIGRTMAX-14",
    "SIGRTMAX-2",
    "SIGRTMAX-3",
    "SIGRTMAX-4",
    "SIGRTMAX-5",
    "SIGRTMAX-6",
    "SIGRTMAX-7",
    "SIGRTMAX-8",
    "SIGRTMAX-9",
    "SIGRTMIN",
    "SIGRTMIN+1",
    "SIGRTMIN+10",
    "SIGRTMIN+11",
    "SIGRTMIN+12",
    "SIGRTMIN+13",
    "SIGRTMIN+14",
    "SIGRTMIN+15",
    "SIGRTMIN+2",
    "SIGRTMIN+3",
    "SIGRTMIN+4",
    "SIGRTMIN+5",
    "SIGRTMIN+6",
    "SIGRTMIN+7",
    "SIGRTMIN+8",
    "SIGRTMIN+9",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];
