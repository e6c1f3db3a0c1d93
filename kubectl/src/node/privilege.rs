//! Root, and what to type when one isn't.

use std::env;
use std::path::Path;

use super::instance::Instance;

/// The command needs root.
#[derive(Debug, thiserror::Error)]
#[error(
    "`minikctl {verb}` needs root: it makes namespaces, mounts, cgroups and network devices. Run\n\n    {command}\n"
)]
pub struct NotRoot {
    /// What was asked for.
    pub verb: &'static str,
    /// What to type.
    pub command: String,
}

/// Whether this process may do what a node needs; if not, the error says what to type.
///
/// # Errors
/// [`NotRoot`] for anybody but root.
pub fn require_root(verb: &'static str, instance: &Instance) -> Result<(), NotRoot> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let executable = env::current_exe().unwrap_or_else(|_| "minikctl".into());
    let arguments: Vec<String> = env::args().skip(1).collect();
    // The variable doesn't pass through sudo, the flag does.
    let named = arguments.iter().any(|argument| argument.starts_with("--instance"));
    let flag = if named { String::new() } else { instance.flag() };
    Err(NotRoot {
        verb,
        command: sudo_command(&executable, &arguments, &flag),
    })
}

/// sudo's `secure_path` has the system's directories, but not `~/.cargo/bin`: elsewhere the whole path is needed.
fn sudo_command(executable: &Path, arguments: &[String], flag: &str) -> String {
    let system = [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ];
    let in_system = executable
        .parent()
        .is_some_and(|dir| system.iter().any(|known| Path::new(known) == dir));
    let program = match executable.file_name() {
        Some(name) if in_system => name.to_string_lossy().into_owned(),
        _ => quoted(&executable.to_string_lossy()),
    };
    let arguments: String = arguments
        .iter()
        .map(|argument| format!(" {}", quoted(argument)))
        .collect();
    format!("sudo {program}{arguments}{flag}")
}

fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for (executable, arguments, flag, command) in [
            ("/usr/local/bin/minikctl", words(&["up"]), "", "sudo minikctl up"),
            (
                "/home/a/.cargo/bin/minikctl",
                words(&["up"]),
                " --instance x",
                "sudo /home/a/.cargo/bin/minikctl up --instance x",
            ),
            (
                "/home/my name/m",
                words(&["up", "it's"]),
                "",
                r"sudo '/home/my name/m' up 'it'\''s'",
            ),
        ] {
            assert_eq!(sudo_command(Path::new(executable), &arguments, flag), command);
        }
    }
}
