//! Which image of a multi-platform index runs here. Pure: the host's platform is an argument.

use oci_spec::image::{Arch, Descriptor, Os};

/// What an index offers for one manifest, and what a host asks for: `os/architecture[/variant]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// Go's name: `amd64`, `arm64`.
    pub architecture: String,
    /// `v8`, `v7`; empty when none is given.
    pub variant: String,
}

impl Platform {
    /// The platform this executable was built for.
    #[must_use]
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            other => other,
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: String::new(),
        }
    }

    /// As an index or a config states it. Absent variants stay empty.
    #[must_use]
    pub fn stated(os: &Os, architecture: &Arch, variant: Option<&str>) -> Self {
        Self {
            os: os.to_string(),
            architecture: architecture.to_string(),
            variant: variant.unwrap_or_default().to_owned(),
        }
    }

    /// How well a host runs what was built for `offered`: lower is better, none is not at all.
    ///
    /// The order is containerd's (platforms.Only): the same architecture with the plainest variant first, then the 32-bit one
    /// that the processor also runs. amd64's v2 and v3 come last, since not every processor has them.
    #[must_use]
    pub fn rank(&self, offered: &Platform) -> Option<usize> {
        if self.os != offered.os {
            return None;
        }
        let order: &[(&str, &str)] = match self.architecture.as_str() {
            "amd64" => &[
                ("amd64", ""),
                ("amd64", "v1"),
                ("386", ""),
                ("amd64", "v2"),
                ("amd64", "v3"),
            ],
            "arm64" => &[
                ("arm64", "v8"),
                ("arm64", ""),
                ("arm", "v8"),
                ("arm", "v7"),
                ("arm", ""),
                ("arm", "v6"),
                ("arm", "v5"),
            ],
            same => return (same == offered.architecture).then_some(0),
        };
        order
            .iter()
            .position(|(architecture, variant)| *architecture == offered.architecture && *variant == offered.variant)
    }

    /// The manifest of an index that runs best here. `Err` lists what there is.
    pub(crate) fn choose<'a>(&self, manifests: &'a [Descriptor]) -> Result<&'a Descriptor, Vec<String>> {
        let offered = |descriptor: &Descriptor| {
            descriptor
                .platform()
                .as_ref()
                .map(|p| Platform::stated(p.os(), p.architecture(), p.variant().as_deref()))
        };
        let best = manifests
            .iter()
            .filter_map(|descriptor| Some((self.rank(&offered(descriptor)?)?, descriptor)))
            .min_by_key(|(rank, _)| *rank);
        if let Some((_, descriptor)) = best {
            return Ok(descriptor);
        }
        // One manifest that names no platform is meant for everybody; its config is checked afterwards.
        if let [only] = manifests
            && only.platform().is_none()
        {
            return Ok(only);
        }
        // Build tools add attestations as manifests for unknown/unknown, which nobody can run.
        Err(manifests
            .iter()
            .filter_map(offered)
            .filter(|platform| platform.os != "unknown")
            .map(|platform| platform.to_string())
            .collect())
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[(&str, &str, &str)]) -> Vec<Descriptor> {
        platforms
            .iter()
            .enumerate()
            .map(|(number, (os, architecture, variant))| {
                let digest = format!("sha256:{number:064x}");
                let mut platform = serde_json::json!({"os": os, "architecture": architecture});
                if !variant.is_empty() {
                    platform["variant"] = (*variant).into();
                }
                serde_json::from_value(serde_json::json!({
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": digest, "size": 1, "platform": platform,
                }))
                .expect("a descriptor")
            })
            .collect()
    }

    fn host(architecture: &str) -> Platform {
        Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: String::new(),
        }
    }

    fn chosen(architecture: &str, platforms: &[(&str, &str, &str)]) -> Option<u64> {
        let manifests = index(platforms);
        let best = host(architecture).choose(&manifests).ok()?;
        u64::from_str_radix(&best.digest().to_string()["sha256:".len()..], 16).ok()
    }

    #[test]
    fn the_best_of_an_index_is_chosen() {
        let docker_hub = [
            ("linux", "amd64", ""),
            ("unknown", "unknown", ""),
            ("linux", "arm", "v5"),
            ("linux", "arm", "v7"),
            ("linux", "arm64", "v8"),
            ("linux", "386", ""),
            ("windows", "amd64", ""),
        ];
        assert_eq!(chosen("amd64", &docker_hub), Some(0));
        assert_eq!(chosen("arm64", &docker_hub), Some(4));
        assert_eq!(
            chosen("amd64", &[("linux", "amd64", "v3"), ("linux", "amd64", "")]),
            Some(1)
        );
        assert_eq!(
            chosen("amd64", &[("windows", "amd64", ""), ("linux", "386", "")]),
            Some(1)
        );
        assert_eq!(
            chosen("arm64", &[("linux", "arm", "v6"), ("linux", "arm", "v7")]),
            Some(1)
        );
        assert_eq!(chosen("riscv64", &[("linux", "riscv64", "")]), Some(0));
    }

    #[test]
    fn what_there_is_instead_is_listed() {
        let manifests = index(&[
            ("linux", "arm64", "v8"),
            ("unknown", "unknown", ""),
            ("windows", "amd64", ""),
        ]);
        let offered = host("amd64").choose(&manifests).expect_err("nothing for linux/amd64");
        assert_eq!(offered, ["linux/arm64/v8", "windows/amd64"]);
    }
}
