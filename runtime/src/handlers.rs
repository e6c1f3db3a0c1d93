//! Runtime handlers: who launches a pod's containers, chosen by the name that the pod's RuntimeClass gives.
//!
//! ```text
//!   ""          --oci-runtime, or this program's own launch
//!   minik       this program's own launch
//!   runc, crun  and other well-known ones, where they are installed
//!   NAME        --runtime-handler NAME=COMMAND
//! ```

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::shim::OciRuntime;

/// The name of this program's own launch.
const OWN: &str = "minik";
/// OCI runtimes with runc's command line that are handlers wherever they are installed, under their own names.
const WELL_KNOWN: [&str; 4] = ["runc", "crun", "youki", "runsc"];
/// Where administrators' programs are, for a daemon whose PATH is a user's.
const ALSO: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// A program with arguments, such as `crun` or `/opt/bin/runsc --platform=systrap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    program: String,
    args: Vec<String>,
}

impl FromStr for Command {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace().map(str::to_owned);
        let program = words
            .next()
            .ok_or("a program is expected, such as runc or /usr/bin/crun")?;
        Ok(Self {
            program,
            args: words.collect(),
        })
    }
}

/// A named handler, such as `gvisor=/usr/bin/runsc --platform=systrap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    name: String,
    command: Command,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || "NAME=COMMAND is expected, such as gvisor=/usr/bin/runsc".to_owned();
        let (name, command) = text.split_once('=').ok_or_else(expected)?;
        // It is a directory's name, and a RuntimeClass allows no others (a DNS label).
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 63 || !name.bytes().all(plain) {
            return Err(format!(
                "{name:?} is no handler's name: lower case letters, digits and - are"
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            command: command.parse()?,
        })
    }
}

/// Why a handler can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum HandlerError {
    /// containerd's words, which tools and people look for.
    #[error(
        "failed to get sandbox runtime: no runtime for {name:?} is configured; there are {known}, and others are added \
         with --runtime-handler NAME=PROGRAM"
    )]
    Unknown { name: String, known: String },
    #[error("failed to get sandbox runtime: the program {program:?} of {whose} isn't installed, or not executable")]
    NotInstalled { whose: String, program: String },
}

/// All that there are.
#[derive(Debug)]
pub(crate) struct Handlers {
    /// By name, the default one without; no command means this program's own launch.
    table: BTreeMap<String, Option<Command>>,
    /// Where the runtimes keep their state, a directory a handler.
    state: PathBuf,
}

impl Handlers {
    pub(crate) fn new(default: Option<&Command>, named: &[Named], state: PathBuf) -> Self {
        let command = |program: &str| Command {
            program: program.to_owned(),
            args: Vec::new(),
        };
        let own = |command: &Command| command.program == OWN;
        let mut table: BTreeMap<String, Option<Command>> =
            WELL_KNOWN.map(|name| (name.to_owned(), Some(command(name)))).into();
        table.insert(OWN.to_owned(), None);
        table.insert(String::new(), default.filter(|command| !own(command)).cloned());
        table.extend(named.iter().map(|named| {
            let command = Some(&named.command).filter(|command| !own(command));
            (named.name.clone(), command.cloned())
        }));
        Self { table, state }
    }

    /// The runtime of this name; none for this program's own launch.
    pub(crate) fn find(&self, name: &str) -> Result<Option<OciRuntime>, HandlerError> {
        let unknown = || HandlerError::Unknown {
            name: name.to_owned(),
            known: self.installed().join(", "),
        };
        let Some(command) = self.table.get(name).ok_or_else(unknown)? else {
            return Ok(None);
        };
        let Some(program) = installed(&command.program) else {
            return Err(if WELL_KNOWN.contains(&name) && command.program == name {
                unknown()
            } else {
                HandlerError::NotInstalled {
                    whose: if name.is_empty() {
                        "--oci-runtime".to_owned()
                    } else {
                        format!("handler {name:?}")
                    },
                    program: command.program.clone(),
                }
            });
        };
        Ok(Some(OciRuntime {
            program,
            args: command.args.clone(),
            root: self.root(name),
        }))
    }

    /// Names of those that can be used, the default one as an empty name.
    pub(crate) fn names(&self) -> Vec<&str> {
        let usable = |command: &Option<Command>| command.as_ref().is_none_or(|c| installed(&c.program).is_some());
        let names = self.table.iter().filter(|(_, command)| usable(command));
        names.map(|(name, _)| name.as_str()).collect()
    }

    /// Whether containers are launched by this program itself.
    pub(crate) fn is_own(&self, name: &str) -> bool {
        matches!(self.table.get(name), Some(None))
    }

    /// Takes away what a runtime keeps of a container, when nobody is there to ask it to.
    pub(crate) fn forget(&self, handler: &str, container_id: &str) {
        let directory = self.root(handler).join(container_id);
        if let Err(error) = std::fs::remove_dir_all(&directory)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, directory = %directory.display(), "remove an OCI runtime's state");
        }
    }

    fn root(&self, name: &str) -> PathBuf {
        self.state.join(if name.is_empty() { "default" } else { name })
    }

    fn installed(&self) -> Vec<String> {
        let names = self.names().into_iter().filter(|name| !name.is_empty());
        names.map(|name| format!("{name:?}")).collect()
    }
}

/// Where a program is.
fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    find(program, &path)
}

fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| is_executable(path));
    }
    let directories = std::env::split_paths(path).chain(ALSO.map(PathBuf::from));
    let mut candidates = directories.filter(|directory| directory.is_absolute());
    candidates.find_map(|directory| Some(directory.join(program)).filter(|path| is_executable(path)))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handlers(default: Option<&str>, named: &[&str]) -> Handlers {
        let default: Option<Command> = default.map(|text| text.parse().expect("a command"));
        let named: Vec<Named> = named.iter().map(|text| text.parse().expect("a handler")).collect();
        Handlers::new(default.as_ref(), &named, "/run/oci".into())
    }

    #[test]
    fn without_a_word_this_program_launches() {
        let handlers = handlers(None, &[]);
        assert_eq!(handlers.find(""), Ok(None));
        assert_eq!(handlers.find("minik"), Ok(None));
    }

    #[test]
    fn commands_are_programs_with_arguments_and_state_of_their_own() {
        let handlers = handlers(Some("/bin/sh"), &["gvisor=sh -c x", "plain=minik"]);
        let default = handlers.find("").expect("installed").expect("a program");
        assert_eq!(
            (default.program, default.root),
            ("/bin/sh".into(), "/run/oci/default".into())
        );
        let gvisor = handlers.find("gvisor").expect("installed").expect("a program");
        assert_eq!(
            (gvisor.args, gvisor.root),
            (vec!["-c".to_owned(), "x".to_owned()], "/run/oci/gvisor".into())
        );
        assert!(gvisor.program.is_absolute());
        assert_eq!(handlers.find("plain"), Ok(None));
    }

    #[test]
    fn what_is_not_there_is_said() {
        let handlers = handlers(Some("/nowhere/crun"), &["gone=/nowhere/runc"]);
        let told = |name: &str| handlers.find(name).expect_err("no such handler").to_string();
        assert!(told("nosuch").contains(r#"no runtime for "nosuch" is configured; there are "#));
        assert!(told("nosuch").contains(r#""minik""#));
        assert!(told("gone").contains(r#"the program "/nowhere/runc" of handler "gone" isn't installed"#));
        assert!(told("").contains(r#"the program "/nowhere/crun" of --oci-runtime isn't installed"#));
        assert!(!handlers.names().contains(&"gone") && !handlers.names().contains(&""));
    }

    #[test]
    fn names_and_commands_are_checked() {
        for text in ["", "runc", "=runc", "a=", "A=runc", "a/b=runc", "..=runc"] {
            assert!(text.parse::<Named>().is_err(), "{text}");
        }
    }

    #[test]
    fn programs_are_looked_for_in_the_path_alone() {
        assert_eq!(find("sh", OsStr::new("/nowhere:/bin")), Some("/bin/sh".into()));
        assert_eq!(find("sh", OsStr::new("bin:.:/nowhere")), None);
        assert_eq!(find("passwd", OsStr::new("/etc")), None, "not executable");
    }
}
