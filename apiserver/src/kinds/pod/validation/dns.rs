//! How a pod resolves names.

use k8s_openapi::api::core::v1::{PodDNSConfig, PodSpec};
use minik_api::field::{Error, Path};
use minik_api::names::subdomain;

use super::checks;

const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARACTERS_MAX: usize = 2048;

pub(super) fn check(spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    let path = path.child("dnsConfig");
    let none = spec.dns_policy.as_deref() == Some("None");
    match &spec.dns_config {
        None if none => {
            errors.push(Error::required(
                &path,
                "must provide `dnsConfig` when `dnsPolicy` is None",
            ));
        }
        None => {}
        Some(config) if none && config.nameservers.as_ref().is_none_or(Vec::is_empty) => {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.push(Error::required(&path.child("nameservers"), detail));
        }
        Some(config) => self::config(config, &path, errors),
    }
}

fn config(config: &PodDNSConfig, path: &Path, errors: &mut Vec<Error>) {
    let servers = config.nameservers.clone().unwrap_or_default();
    let path_servers = path.child("nameservers");
    if servers.len() > NAMESERVERS_MAX {
        errors.push(Error::invalid(
            &path_servers,
            servers.clone(),
            "must not have more than 3 nameservers",
        ));
    }
    for (index, server) in servers.iter().enumerate() {
        checks::ip(server, &path_servers.index(index), errors);
    }
    let searches = config.searches.clone().unwrap_or_default();
    let path_searches = path.child("searches");
    if searches.len() > SEARCHES_MAX {
        errors.push(Error::invalid(
            &path_searches,
            searches.clone(),
            "must not have more than 32 search paths",
        ));
    }
    if searches.join(" ").len() > SEARCH_CHARACTERS_MAX {
        let detail = "must not have more than 2048 characters (including spaces) in the search list";
        errors.push(Error::invalid(&path_searches, searches.clone(), detail));
    }
    for (index, search) in searches.iter().enumerate().filter(|(_, search)| *search != ".") {
        // Underscores are allowed here: DNS knows them, object names don't.
        let name = search.strip_suffix('.').unwrap_or(search).replace('_', "-");
        let padded = name
            .split('.')
            .map(|part| part.trim_matches('-'))
            .collect::<Vec<_>>()
            .join(".");
        let broken = subdomain(if search.contains('_') { &padded } else { &name });
        errors.extend(
            broken
                .into_iter()
                .map(|rule| Error::invalid(&path_searches.index(index), search.as_str(), rule)),
        );
    }
    for (index, option) in config.options.iter().flatten().enumerate() {
        if option.name.as_deref().unwrap_or_default().is_empty() {
            errors.push(Error::required(
                &path.child("options").index(index),
                "must not be empty",
            ));
        }
    }
}

pub(super) fn host_aliases(spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    for (index, alias) in spec.host_aliases.iter().flatten().enumerate() {
        let path = path.index(index);
        checks::ip(&alias.ip, &path.child("ip"), errors);
        for (index, hostname) in alias.hostnames.iter().flatten().enumerate() {
            checks::name(subdomain, hostname, &path.child("hostnames").index(index), errors);
        }
    }
}
