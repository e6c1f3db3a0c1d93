//! The names that a pod refers to or gives itself.

use k8s_openapi::api::core::v1::PodSpec;
use minik_api::field::{Error, Path};

use super::{checks, label, subdomain};

const HOSTNAME_MAX: usize = 64;

pub(super) fn check(spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    hostname_override(spec, &path.child("hostnameOverride"), errors);
    for (field, value, rule) in [
        (
            "serviceAccountName",
            &spec.service_account_name,
            subdomain as fn(&str) -> Vec<String>,
        ),
        ("nodeName", &spec.node_name, subdomain),
        ("hostname", &spec.hostname, label),
        ("subdomain", &spec.subdomain, label),
        ("priorityClassName", &spec.priority_class_name, subdomain),
        ("runtimeClassName", &spec.runtime_class_name, subdomain),
    ] {
        if let Some(value) = value {
            checks::name(rule, value, &path.child(field), errors);
        }
    }
}

fn hostname_override(spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    let Some(hostname) = &spec.hostname_override else {
        return;
    };
    if spec.set_hostname_as_fqdn == Some(true) {
        errors.push(Error::forbidden(
            path,
            "may not be specified when setHostnameAsFQDN is true",
        ));
    }
    if spec.host_network == Some(true) {
        errors.push(Error::forbidden(path, "may not be specified when hostNetwork is true"));
    }
    if hostname.len() > HOSTNAME_MAX {
        errors.push(Error::too_long(path, HOSTNAME_MAX));
    }
    checks::name(subdomain, hostname, path, errors);
}
