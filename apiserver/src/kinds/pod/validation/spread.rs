//! How evenly the pods of a set have to be spread.

use k8s_openapi::api::core::v1::{PodSpec, TopologySpreadConstraint};
use minik_api::field::{Error, Path};
use minik_api::names::qualified;

use super::checks;

pub(super) fn check(spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    let list = spec.topology_spread_constraints.as_deref().unwrap_or_default();
    for (index, constraint) in list.iter().enumerate() {
        let path = path.index(index);
        positive(constraint.max_skew, &path.child("maxSkew"), errors);
        if constraint.topology_key.is_empty() {
            errors.push(Error::required(&path.child("topologyKey"), "can not be empty"));
        }
        let when = constraint.when_unsatisfiable.as_str();
        let supported = ["DoNotSchedule", "ScheduleAnyway"];
        if !supported.contains(&when) {
            errors.push(Error::not_supported(&path.child("whenUnsatisfiable"), when, &supported));
        }
        if list[index + 1..].iter().any(|later| same(constraint, later)) {
            let pair = format!("{{{}, {when}}}", constraint.topology_key);
            errors.push(Error::duplicate(&path.child("{topologyKey, whenUnsatisfiable}"), pair));
        }
        if let Some(domains) = constraint.min_domains {
            let path = path.child("minDomains");
            positive(domains, &path, errors);
            if when != "DoNotSchedule" {
                let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}");
                errors.push(Error::invalid(&path, domains, detail));
            }
        }
        for (field, policy) in [
            ("nodeAffinityPolicy", &constraint.node_affinity_policy),
            ("nodeTaintsPolicy", &constraint.node_taints_policy),
        ] {
            checks::one_of_or_none(policy.as_deref(), &["Honor", "Ignore"], &path.child(field), errors);
        }
        for (index, key) in constraint.match_label_keys.iter().flatten().enumerate() {
            checks::name(qualified, key, &path.child("matchLabelKeys").index(index), errors);
        }
        checks::label_selector(constraint.label_selector.as_ref(), &path.child("labelSelector"), errors);
    }
}

fn same(one: &TopologySpreadConstraint, other: &TopologySpreadConstraint) -> bool {
    one.topology_key == other.topology_key && one.when_unsatisfiable == other.when_unsatisfiable
}

fn positive(value: i32, path: &Path, errors: &mut Vec<Error>) {
    if value <= 0 {
        errors.push(Error::invalid(path, value, "must be greater than 0"));
    }
}
