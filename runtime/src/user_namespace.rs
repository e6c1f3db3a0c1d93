//! A pod's user namespace: which users of the host the pod's users are. Pure.
//!
//! ```text
//!   CRI namespace options ──of_pod──> UserNamespace ──> sandbox.json: the shim makes it, held at ns/user
//!                                                  └──> config.json: containers enter it; mounts are mapped by it
//! ```
//!
//! The numbers in a container begin with 0, which is some number of the host that nobody else has: root of the pod is
//! nobody on the host. Files on disk keep the container's numbers; mounts translate.

use minik_api::cri::{self, NamespaceMode};
use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder};
use serde::{Deserialize, Serialize};

/// Numbers from 0 in the namespace, as numbers of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// What 0 is on the host.
    pub host: u32,
    /// How many there are.
    pub length: u32,
}

/// The users and groups of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserNamespace {
    /// Users.
    pub uids: IdRange,
    /// Groups.
    pub gids: IdRange,
}

/// A user namespace that can't be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum UserNamespaceError {
    #[error("user namespaces are the pod's or the node's: mode {0} isn't supported")]
    Mode(&'static str),
    #[error("the node's user namespace has no mappings: leave them out, or ask for mode POD")]
    MappedNode,
    #[error("a pod's user namespace has one mapping of users and one of groups; {uids} and {gids} were given")]
    Count { uids: usize, gids: usize },
    #[error("a pod's user namespace has to map its number 0: the mapping begins with {0}")]
    NotFromZero(u32),
    #[error("the mapping of {length} numbers from {host} of the host is empty or goes beyond 4294967295")]
    Range { host: u32, length: u32 },
    #[error("a pod with a user namespace can't have the node's {0} namespace: leave hostUsers unset, or the other")]
    HostNamespace(&'static str),
}

impl IdRange {
    fn of_cri(mapping: &cri::IdMapping) -> Result<Self, UserNamespaceError> {
        let (host, length) = (mapping.host_id, mapping.length);
        if mapping.container_id != 0 {
            return Err(UserNamespaceError::NotFromZero(mapping.container_id));
        }
        if length == 0 || host.checked_add(length).is_none() {
            return Err(UserNamespaceError::Range { host, length });
        }
        Ok(Self { host, length })
    }

    /// The only mapping of these, if it begins with 0.
    #[must_use]
    pub fn of_oci(mappings: &[LinuxIdMapping]) -> Option<Self> {
        match mappings {
            [only] if only.container_id() == 0 => Some(Self {
                host: only.host_id(),
                length: only.size(),
            }),
            _ => None,
        }
    }

    /// As config.json has it.
    #[must_use]
    pub fn to_oci(self) -> Vec<LinuxIdMapping> {
        let mapping = LinuxIdMappingBuilder::default()
            .container_id(0_u32)
            .host_id(self.host)
            .size(self.length)
            .build();
        vec![mapping.expect("all fields are set")]
    }

    /// The host's number for one of the namespace; none for one that it doesn't have.
    #[must_use]
    pub fn on_host(self, id: u32) -> Option<u32> {
        (id < self.length).then(|| self.host + id)
    }

    /// A line of /proc/PID/uid_map (user_namespaces(7)).
    #[must_use]
    pub fn line(self) -> String {
        format!("0 {} {}\n", self.host, self.length)
    }
}

impl UserNamespace {
    /// What a pod asks for; none is the node's.
    ///
    /// # Errors
    /// What it asks for can't be made.
    pub fn of_pod(options: &cri::NamespaceOption) -> Result<Option<Self>, UserNamespaceError> {
        let Some(asked) = &options.userns_options else {
            return Ok(None);
        };
        match asked.mode() {
            NamespaceMode::Node if asked.uids.is_empty() && asked.gids.is_empty() => return Ok(None),
            NamespaceMode::Node => return Err(UserNamespaceError::MappedNode),
            NamespaceMode::Pod => {}
            mode @ (NamespaceMode::Container | NamespaceMode::Target) => {
                return Err(UserNamespaceError::Mode(mode.as_str_name()));
            }
        }
        // The network can be the node's: what it holds still belongs to the node's root.
        let namespaces = [(options.pid(), "process"), (options.ipc(), "IPC")];
        if let Some((_, name)) = namespaces.iter().find(|(mode, _)| *mode == NamespaceMode::Node) {
            return Err(UserNamespaceError::HostNamespace(name));
        }
        let ([uids], [gids]) = (asked.uids.as_slice(), asked.gids.as_slice()) else {
            return Err(UserNamespaceError::Count {
                uids: asked.uids.len(),
                gids: asked.gids.len(),
            });
        };
        Ok(Some(Self {
            uids: IdRange::of_cri(uids)?,
            gids: IdRange::of_cri(gids)?,
        }))
    }

    /// The host's numbers of the namespace's root.
    #[must_use]
    pub fn root(self) -> (u32, u32) {
        (self.uids.host, self.gids.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(container_id: u32, host_id: u32, length: u32) -> cri::IdMapping {
        cri::IdMapping {
            container_id,
            host_id,
            length,
        }
    }

    fn asked(mode: NamespaceMode, mappings: &[cri::IdMapping]) -> cri::NamespaceOption {
        cri::NamespaceOption {
            userns_options: Some(cri::UserNamespace {
                mode: mode.into(),
                uids: mappings.to_vec(),
                gids: mappings.to_vec(),
            }),
            ..Default::default()
        }
    }

    #[test]
    fn a_pod_has_one_range_from_zero() {
        let of = |mode, mappings: &[cri::IdMapping]| UserNamespace::of_pod(&asked(mode, mappings));
        let range = IdRange {
            host: 65536,
            length: 1000,
        };
        let both = UserNamespace {
            uids: range,
            gids: range,
        };
        assert_eq!(of(NamespaceMode::Pod, &[mapping(0, 65536, 1000)]), Ok(Some(both)));
        assert_eq!(UserNamespace::of_pod(&cri::NamespaceOption::default()), Ok(None));
        assert_eq!(of(NamespaceMode::Node, &[]), Ok(None));
        for (mode, mappings) in [
            (NamespaceMode::Node, vec![mapping(0, 1, 1)]),
            (NamespaceMode::Container, vec![]),
            (NamespaceMode::Target, vec![]),
            (NamespaceMode::Pod, vec![]),
            (NamespaceMode::Pod, vec![mapping(0, 1, 1), mapping(1, 2, 1)]),
            (NamespaceMode::Pod, vec![mapping(1, 1, 1)]),
            (NamespaceMode::Pod, vec![mapping(0, 1, 0)]),
            (NamespaceMode::Pod, vec![mapping(0, u32::MAX, 1)]),
        ] {
            assert!(of(mode, &mappings).is_err(), "{mode:?} {mappings:?}");
        }
        let mut with_host = asked(NamespaceMode::Pod, &[mapping(0, 65536, 1000)]);
        with_host.set_pid(NamespaceMode::Node);
        assert_eq!(
            UserNamespace::of_pod(&with_host),
            Err(UserNamespaceError::HostNamespace("process"))
        );
    }

    #[test]
    fn numbers_are_translated_and_those_beyond_are_not_there() {
        let range = IdRange {
            host: 65536,
            length: 10,
        };
        assert_eq!(
            (range.on_host(0), range.on_host(9), range.on_host(10)),
            (Some(65536), Some(65545), None)
        );
        assert_eq!(range.line(), "0 65536 10\n");
        assert_eq!(IdRange::of_oci(&range.to_oci()), Some(range));
        assert_eq!(IdRange::of_oci(&[]), None);
    }
}
