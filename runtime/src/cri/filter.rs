//! Which sandboxes and containers a list asks for. Pure.

use std::collections::HashMap;

use minik_api::cri;

use crate::state::{ContainerRecord, SandboxRecord};

/// Whether a sandbox is asked for. An id may be the beginning of one.
pub(super) fn sandbox(record: &SandboxRecord, filter: Option<&cri::PodSandboxFilter>) -> bool {
    let Some(filter) = filter else { return true };
    record.id.starts_with(&filter.id)
        && filter
            .state
            .as_ref()
            .is_none_or(|wanted| wanted.state() == record.state())
        && labels(&record.config.labels, &filter.label_selector)
}

/// Whether a container is asked for.
pub(super) fn container(record: &ContainerRecord, filter: Option<&cri::ContainerFilter>) -> bool {
    let Some(filter) = filter else { return true };
    record.id.starts_with(&filter.id)
        && record.sandbox_id.starts_with(&filter.pod_sandbox_id)
        && filter
            .state
            .as_ref()
            .is_none_or(|wanted| wanted.state() == record.phase.state())
        && labels(&record.config.labels, &filter.label_selector)
}

/// All labels asked for are there with the same values.
pub(super) fn labels(have: &HashMap<String, String>, wanted: &HashMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| have.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn all_wanted_labels_are_needed() {
        let have = map(&[("app", "web"), ("tier", "front")]);
        assert!(labels(&have, &map(&[])));
        assert!(labels(&have, &map(&[("app", "web")])));
        assert!(!labels(&have, &map(&[("app", "web"), ("tier", "back")])));
        assert!(!labels(&have, &map(&[("zone", "")])));
    }
}
