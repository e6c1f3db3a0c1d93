//! `debug --custom`: what a file adds to a debug container, over what the profile says. Pure but for reading the file.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};

use crate::commands::local;
use crate::manifest::yaml as input;

/// Reads a part of a container's specification.
///
/// # Errors
/// When it is none, or changes what the command line says.
pub(super) fn read(file: &Path) -> anyhow::Result<Value> {
    let text = fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    let custom = input::one(&text)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| anyhow!("{} does not contain a valid container spec", file.display()))?;
    let fixed = ["name", "command", "image", "lifecycle", "volumeDevices"];
    if fixed.iter().any(|field| custom.get(*field).is_some()) {
        bail!("name, command, image, lifecycle and volume devices are not modifiable via custom profile");
    }
    Ok(custom)
}

/// The container with what was added; lists such as `env` are merged by the names of what is in them.
///
/// # Errors
/// When it can't be merged.
pub(super) fn over(container: Value, custom: Option<&Value>) -> anyhow::Result<Value> {
    let Some(custom) = custom else {
        return Ok(container);
    };
    let mut custom = custom.clone();
    custom["name"] = container["name"].clone();
    // Merging goes by kinds: the container stands in a pod for that while.
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [container]}});
    let mut merged = local::strategic_patch(&pod, &json!({"spec": {"containers": [custom]}}))?;
    Ok(merged["spec"]["containers"][0].take())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_goes_over_the_profile() {
        let container = json!({"name": "d", "image": "i", "env": [{"name": "A", "value": "1"}],
            "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}});
        let custom = json!({"env": [{"name": "B", "value": "2"}], "securityContext": {"privileged": true}});
        let made = over(container.clone(), Some(&custom)).expect("merged");
        assert_eq!(made["env"].as_array().map(Vec::len), Some(2));
        assert_eq!(
            made["securityContext"],
            json!({"privileged": true, "capabilities": {"add": ["SYS_PTRACE"]}})
        );
        assert_eq!(over(container.clone(), None).expect("as it is"), container);
    }

    #[test]
    fn what_the_command_line_says_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("custom.yaml");
        for (text, fine) in [
            ("env: [{name: A, value: b}]\n", true),
            ("image: x\n", false),
            ("- 1\n", false),
        ] {
            fs::write(&file, text).expect("written");
            assert_eq!(read(&file).is_ok(), fine, "{text}");
        }
    }
}
