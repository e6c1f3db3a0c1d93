//! `RUN --mount=type=…`: what a step sees beside its image. Pure.

use super::dockerfile::Run;

/// A mount of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mount {
    /// Files of the context, or of a stage or image.
    Bind {
        from: Option<String>,
        source: String,
        target: String,
    },
    /// A folder that stays from build to build.
    Cache {
        id: String,
        target: String,
        mode: u32,
    },
    /// What no layer may have.
    Secret {
        id: String,
        target: Option<String>,
        variable: Option<String>,
        required: bool,
        mode: u32,
    },
    Tmpfs {
        target: String,
        size_bytes: Option<u64>,
    },
}

/// All mounts of a RUN.
pub(super) fn of(run: &Run) -> Result<Vec<Mount>, String> {
    let mounts = run.options.iter().filter(|(name, _)| name == "mount");
    mounts.map(|(_, text)| mount(text)).collect()
}

/// Stages and images that a RUN's mounts take files from.
pub(super) fn sources(run: &Run) -> Vec<String> {
    let mounts = of(run).unwrap_or_default().into_iter();
    let from = |mount| match mount {
        Mount::Bind { from, .. } => from,
        _ => None,
    };
    mounts.filter_map(from).collect()
}

fn mount(text: &str) -> Result<Mount, String> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for field in text.split(',') {
        let (name, value) = field.split_once('=').unwrap_or((field, "true"));
        let name = match name.to_lowercase().as_str() {
            "dst" | "destination" => "target".to_owned(),
            "src" => "source".to_owned(),
            "ro" => "readonly".to_owned(),
            "rw" => "readwrite".to_owned(),
            other => other.to_owned(),
        };
        fields.push((name, value.trim_matches('"').to_owned()));
    }
    let mut take = |name: &str| {
        let place = fields.iter().position(|(known, _)| known == name)?;
        Some(fields.remove(place).1)
    };
    let kind = take("type").unwrap_or_else(|| "bind".to_owned());
    let target = take("target");
    let needs_target = || {
        target
            .clone()
            .ok_or_else(|| format!("--mount={text} lacks target=PATH"))
    };
    let mode = |text: Option<String>, default| match text {
        None => Ok(default),
        Some(text) => u32::from_str_radix(&text, 8).map_err(|_| format!("mode {text:?} is no octal number")),
    };
    let mount = match kind.as_str() {
        "bind" => {
            // What is written there is thrown away by docker; here it is refused by the kernel.
            take("readonly");
            take("readwrite");
            Mount::Bind {
                from: take("from"),
                source: take("source").unwrap_or_else(|| "/".to_owned()),
                target: needs_target()?,
            }
        }
        "cache" => {
            take("sharing");
            take("readonly");
            let target = needs_target()?;
            Mount::Cache {
                id: take("id").unwrap_or_else(|| target.clone()),
                target,
                mode: mode(take("mode"), 0o755)?,
            }
        }
        "secret" => {
            let id = take("id").or(take("source"));
            let base = target.as_deref().and_then(|target| target.rsplit('/').next());
            let id = id.or_else(|| base.map(str::to_owned));
            Mount::Secret {
                id: id.ok_or_else(|| format!("--mount={text} lacks id=NAME"))?,
                target: target.clone(),
                variable: take("env"),
                required: take("required").is_some_and(|value| value == "true"),
                mode: mode(take("mode"), 0o400)?,
            }
        }
        "tmpfs" => Mount::Tmpfs {
            target: needs_target()?,
            size_bytes: take("size").and_then(|size| size.parse().ok()),
        },
        other => {
            return Err(format!(
                "--mount=type={other} isn't there: there are bind, cache, secret and tmpfs"
            ));
        }
    };
    match fields.first() {
        None => Ok(mount),
        Some((name, _)) => Err(format!("--mount=type={kind} has no field {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_have_defaults_and_short_names() {
        assert_eq!(
            mount("type=cache,target=/root/.cache"),
            Ok(Mount::Cache {
                id: "/root/.cache".to_owned(),
                target: "/root/.cache".to_owned(),
                mode: 0o755
            })
        );
        assert_eq!(
            mount("src=a,dst=/b,ro"),
            Ok(Mount::Bind {
                from: None,
                source: "a".to_owned(),
                target: "/b".to_owned()
            })
        );
        assert_eq!(
            mount("type=secret,id=token,env=TOKEN,required"),
            Ok(Mount::Secret {
                id: "token".to_owned(),
                target: None,
                variable: Some("TOKEN".to_owned()),
                required: true,
                mode: 0o400
            })
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, words) in [
            ("type=ssh", "type=ssh isn't there"),
            ("type=cache", "lacks target"),
            ("type=secret", "lacks id"),
            ("target=/a,colour=red", "no field colour"),
            ("type=cache,target=/a,mode=9", "octal"),
        ] {
            let wrong = mount(text).expect_err(text);
            assert!(wrong.contains(words), "{text}: {wrong}");
        }
    }
}
