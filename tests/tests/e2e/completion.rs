//! Shells complete kinds and names from the server: each of the three does what it does at a tab.

use std::path::Path;

use minik_tests::{Run, World, executable};

/// At a tab behind this, the name of the one object that fits is to stand there.
const LINE: &str = "minikctl get configmap only-o";
const NAME: &str = "only-one";

const BASH: &str = "source <(minikctl completion bash); COMP_LINE=\"$LINE\"; COMP_POINT=${#COMP_LINE}; _minikctl; echo \
                    \"${COMPREPLY[@]}\"";
const FISH: &str = "minikctl completion fish | source; complete -C\"$LINE\"";
/// A shell in a terminal of its own; both reads wait for what they name.
const ZSH: &str = r#"
zmodload zsh/zpty
minikctl completion zsh > _minikctl
zpty shell zsh -f -i
zpty -w shell "PS1=; fpath=($PWD \$fpath); autoload -U compinit; compinit -u -D; print REA''DY"
zpty -r shell seen '*READY*'
zpty -w -n shell "$LINE"$'\t'
zpty -r shell seen '*only-one*'
print -r -- "${(M)seen%only-one*}"
"#;

#[test]
fn every_shell_completes_names_from_the_server() {
    let world = World::up();
    let _ = world.minikctl(["create", "configmap", NAME]).ok();
    for (shell, options, script) in [
        ("bash", &["-c"][..], BASH),
        ("fish", &["--no-config", "-c"][..], FISH),
        ("zsh", &["-f", "-c"][..], ZSH),
    ] {
        let said = at_a_tab(&world, shell, options, script);
        assert!(said.trim_start().starts_with(NAME), "{shell}: {said}");
    }
}

fn at_a_tab(world: &World, shell: &str, options: &[&str], script: &str) -> String {
    let minikctl = executable::minikctl();
    let folder = minikctl.parent().map(Path::display).expect("it lies in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let script = format!("cd '{}'\n{script}", world.folder().display());
    world
        .in_world(Run::new(shell))
        .env("PATH", format!("{folder}:{path}"))
        .env("TERM", "dumb")
        .env("LINE", LINE)
        .args(options.iter().copied().chain([script.as_str()]))
        .ok()
}
