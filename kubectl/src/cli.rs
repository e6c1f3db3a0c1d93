//! The tree of client verbs, as clap sees it, and the flags that all of them share.
//!
//! Each verb is an `Args` struct in `commands/` with `run(self, &Global)`. The node's own verbs (`up`, `down`, ...) and the
//! programs stand beside these in main.rs.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Command, Subcommand};

use crate::client::ConnectionFlags;
use crate::commands;
use crate::commands::mark::Which;
use crate::commands::plugin;

/// What every verb understands.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// The kubeconfig file to use instead of $KUBECONFIG or ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Common options")]
    pub kubeconfig: Option<PathBuf>,

    /// The kubeconfig's context to use.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Common options")]
    pub context: Option<String>,

    /// The namespace to work in.
    #[arg(short, long, global = true, value_name = "NAME", help_heading = "Common options")]
    pub namespace: Option<String>,

    /// The node on this machine to work with, where there are several.
    #[arg(
        long,
        global = true,
        env = "MINIK_INSTANCE",
        value_name = "NAME",
        help_heading = "Common options"
    )]
    pub instance: Option<String>,

    /// How much to say about what is done: -v6 shows each request.
    #[arg(
        short = 'v',
        long = "v",
        global = true,
        value_name = "LEVEL",
        default_value_t = 0,
        hide_default_value = true,
        help_heading = "Common options"
    )]
    pub verbosity: u8,

    /// Which server to talk to, and as whom.
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

impl Global {
    /// The instance's name, which is also part of sockets' and directories' names.
    #[must_use]
    pub fn instance_name(&self) -> &str {
        self.instance.as_deref().unwrap_or("default")
    }
}

/// What a user does with a cluster.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Start the node, run nginx and Python on it, and watch it happen
    Demo(commands::demo::Demo),
    /// Create or change objects so that they are what files say
    Apply(commands::apply::Apply),
    /// Set and remove annotations of objects
    Annotate(commands::mark::Mark),
    /// Create objects that are not there yet
    Create(commands::create::Create),
    /// Show objects
    Get(commands::get::Get),
    /// Show everything about an object, with its events
    Describe(commands::describe::Describe),
    /// Show what a container printed
    Logs(commands::logs::Logs),
    /// Run a pod of an image
    Run(commands::run::Run),
    /// Put a service in front of pods
    Expose(commands::expose::Expose),
    /// Set how many pods a workload has
    Scale(commands::scale::Scale),
    /// Let a workload's number of pods follow its load
    Autoscale(commands::autoscale::Autoscale),
    /// Change, undo and follow the rolling out of deployments
    #[command(subcommand)]
    Rollout(commands::rollout::RolloutVerb),
    /// Change one thing of objects: image, env, resources, selector, serviceaccount, subject
    #[command(subcommand)]
    Set(commands::set::SetVerb),
    /// Let no new pods come to a node
    Cordon(commands::cordon::Cordon),
    /// Let new pods come to a node again
    Uncordon(commands::cordon::Uncordon),
    /// Have a node's pods go
    Drain(commands::drain::Drain),
    /// Set which pods a node repels
    Taint(commands::taint::Taint),
    /// Run a command in a container
    Exec(commands::exec::Exec),
    /// Join the input and output of a container's main process
    Attach(commands::attach::Attach),
    /// Look into pods and nodes from a container of your own
    Debug(commands::debug::Debug),
    /// Copy files into a container and out of it
    Cp(commands::cp::Cp),
    /// Make ports of a pod reachable on this machine
    PortForward(commands::port_forward::PortForward),
    /// Show what apply would change
    Diff(commands::diff::Diff),
    /// Change objects in an editor
    Edit(commands::edit::Edit),
    /// Put whole objects in the place of what is there
    Replace(commands::replace::Replace),
    /// Delete objects
    Delete(commands::delete::Delete),
    /// Set and remove labels of objects
    Label(commands::mark::Mark),
    /// Change some fields of objects
    Patch(commands::patch::Patch),
    /// Wait until objects are in a state
    Wait(commands::wait::Wait),
    /// Pull, push, import, save, tag, inspect and remove the node's images
    #[command(subcommand, visible_alias = "images")]
    Image(commands::image::ImageVerb),
    /// What containerd's ctr does, with our runtime: images, containers and tasks
    Ctr(Box<commands::ctr::Ctr>),
    /// Show what a kind's fields mean
    Explain(commands::explain::Explain),
    /// Show the kinds that the server has
    ApiResources(commands::api_resources::ApiResources),
    /// Ask what you may do, and who you are
    #[command(subcommand)]
    Auth(commands::auth::AuthVerb),
    /// Approve and deny requests for certificates
    #[command(subcommand)]
    Certificate(commands::certificate::CertificateVerb),
    /// Show what happened
    Events(commands::events::Events),
    /// Show what nodes and pods use
    #[command(subcommand)]
    Top(commands::top::TopVerb),
    /// Show the groups and versions that the server has
    ApiVersions(commands::api_versions::ApiVersions),
    /// Serve the API on this machine, as you
    Proxy(commands::proxy::Proxy),
    /// Show where the server is
    ClusterInfo(commands::cluster_info::ClusterInfo),
    /// Show and change the kubeconfig
    #[command(subcommand)]
    Config(commands::config::ConfigVerb),
    /// Show the plugins: programs on the PATH that are verbs too
    #[command(subcommand)]
    Plugin(commands::plugin::PluginVerb),
    /// Have your shell complete verbs, flags, kinds and names
    Completion(commands::completion::Completion),
    /// What the shells' scripts call
    #[command(name = "__complete", hide = true)]
    Complete(commands::completion::Complete),
    /// Show the flags that every verb has
    Options(commands::options::Options),
    /// Show the client's and the server's version
    Version(commands::version::Version),
}

impl Verb {
    /// Does what the user asked for.
    ///
    /// # Errors
    /// Those of the verb, already in words for the user; see [`crate::failure::report`].
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::Demo(verb) => verb.run(global).await,
            Self::Annotate(verb) => verb.run(global, Which::Annotations).await,
            Self::Apply(verb) => verb.run(global).await,
            Self::Create(verb) => verb.run(global).await,
            Self::Get(verb) => verb.run(global).await,
            Self::Describe(verb) => verb.run(global).await,
            Self::Logs(verb) => verb.run(global).await,
            Self::Run(verb) => verb.run(global).await,
            Self::Expose(verb) => verb.run(global).await,
            Self::Scale(verb) => verb.run(global).await,
            Self::Autoscale(verb) => verb.run(global).await,
            Self::Rollout(verb) => verb.run(global).await,
            Self::Set(verb) => verb.run(global).await,
            Self::Cordon(verb) => verb.run(global).await,
            Self::Uncordon(verb) => verb.run(global).await,
            Self::Drain(verb) => verb.run(global).await,
            Self::Taint(verb) => verb.run(global).await,
            Self::Exec(verb) => verb.run(global).await,
            Self::Attach(verb) => verb.run(global).await,
            Self::Debug(verb) => verb.run(global).await,
            Self::Cp(verb) => verb.run(global).await,
            Self::PortForward(verb) => verb.run(global).await,
            Self::Diff(verb) => verb.run(global).await,
            Self::Edit(verb) => verb.run(global).await,
            Self::Replace(verb) => verb.run(global).await,
            Self::Delete(verb) => verb.run(global).await,
            Self::Label(verb) => verb.run(global, Which::Labels).await,
            Self::Patch(verb) => verb.run(global).await,
            Self::Wait(verb) => verb.run(global).await,
            Self::Image(verb) => verb.run(global).await,
            Self::Ctr(verb) => verb.run(global).await,
            Self::Explain(verb) => verb.run(global).await,
            Self::ApiResources(verb) => verb.run(global).await,
            Self::Auth(verb) => verb.run(global).await,
            Self::Certificate(verb) => verb.run(global).await,
            Self::Events(verb) => verb.run(global).await,
            Self::Top(verb) => verb.run(global).await,
            Self::ApiVersions(verb) => verb.run(global).await,
            Self::Proxy(verb) => verb.run(global).await,
            Self::ClusterInfo(verb) => verb.run(global).await,
            Self::Config(verb) => verb.run(global),
            Self::Plugin(verb) => verb.run(),
            Self::Completion(verb) => verb.run(),
            Self::Complete(verb) => verb.run(global).await,
            Self::Options(verb) => verb.run(),
            Self::Version(verb) => verb.run(global).await,
        }
    }
}

/// Says why the command line can't be understood: exit code 1, as in kubectl; help is no failure. A verb that isn't ours may be
/// a plugin's.
pub fn misunderstood(error: &clap::Error, command: &Command, line: &[OsString]) -> ExitCode {
    let context = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let unknown = context(ContextKind::InvalidSubcommand).filter(|_| error.kind() == ErrorKind::InvalidSubcommand);
    if unknown.is_some_and(|name| line.get(1).is_some_and(|word| word == name))
        && let Some(error) = plugin::become_plugin(line)
    {
        return crate::failure::report(&anyhow::anyhow!("the plugin can't be started: {error}"));
    }
    let left_out = unknown
        .or(context(ContextKind::InvalidArg).filter(|_| error.kind() == ErrorKind::UnknownArgument))
        .and_then(left_out);
    let text = match left_out {
        Some(sentence) => Some(format!("error: {sentence}")),
        None => unknown.and_then(|name| unknown_verb(name, command)),
    };
    // Nobody is left to tell of a broken pipe.
    let _ = match text {
        Some(text) => writeln!(anstream::stderr(), "{text}"),
        None => error.print(),
    };
    ExitCode::from(u8::from(error.use_stderr()))
}

/// What kubectl has and minikctl has not, and what does the same.
fn left_out(word: &str) -> Option<&'static str> {
    Some(match word.split('=').next().unwrap_or(word) {
        "-k" | "--kustomize" | "kustomize" => {
            "minikctl has no kustomize in it: run `kustomize build FOLDER | minikctl apply -f -`"
        }
        "--template" => {
            "minikctl has no Go templates: -o jsonpath=TEMPLATE and -o custom-columns=NAME:PATH do the same"
        }
        "--allow-missing-template-keys" => "minikctl's JSONPath takes fields that aren't there for empty, always",
        _ => return None,
    })
}

/// kubectl's words for a verb that isn't there, with those that are like it (two slips of the finger, or how it begins).
fn unknown_verb(name: &str, command: &Command) -> Option<String> {
    let mut text = format!("error: unknown command {name:?} for {:?}\n", command.get_name());
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let names = verbs.flat_map(|verb| std::iter::once(verb.get_name()).chain(verb.get_visible_aliases()));
    let like = |verb: &&str| {
        let slips = strsim::damerau_levenshtein(verb, name);
        slips <= 2 && slips < verb.len() || verb.starts_with(name)
    };
    let like: Vec<&str> = names.filter(like).collect();
    if like.is_empty() {
        return None;
    }
    text.push_str("\nDid you mean this?");
    for verb in like {
        text.push_str(&format!("\n\t{verb}"));
    }
    text.push('\n');
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_told_with_what_does_the_same() {
        assert!(left_out("-k").is_some_and(|text| text.contains("kustomize build")));
        assert!(left_out("--template=x").is_some_and(|text| text.contains("jsonpath")));
        assert_eq!(left_out("--filename"), None);
    }

    #[test]
    fn a_misspelt_verb_gets_those_like_it() {
        let verb = |name: &'static str| Command::new(name);
        let command = Command::new("minikctl").subcommands([verb("get"), verb("describe"), verb("delete")]);
        assert_eq!(
            unknown_verb("gte", &command).expect("it is like get"),
            "error: unknown command \"gte\" for \"minikctl\"\n\nDid you mean this?\n\tget\n"
        );
        assert!(unknown_verb("desc", &command).is_some_and(|text| text.contains("\tdescribe")));
        assert_eq!(unknown_verb("xyzzy", &command), None);
    }
}
