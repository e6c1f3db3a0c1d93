//! From a Dockerfile's text to stages and steps. Pure.
//!
//! `parse-dockerfile` takes the text apart; here its pieces become what a build does, with the line of each for messages.
//! Variables are not replaced yet (`expand`): their values depend on the steps before.

mod text;

use parse_dockerfile::{
    Command as Parsed, Flag, HealthcheckArguments, HereDoc, Instruction, JsonOrStringArray, Source,
};

use super::Wrong;
use text::{Text, pairs};

const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// A whole Dockerfile.
#[derive(Debug, Default)]
pub(super) struct Dockerfile {
    /// ARGs before the first FROM, which only FROMs see.
    pub(super) arguments: Vec<Argument>,
    pub(super) stages: Vec<Stage>,
}

/// A name, and its value where it has a default.
pub(super) type Argument = (String, Option<String>);

#[derive(Debug)]
pub(super) struct Stage {
    pub(super) line: usize,
    /// The FROM on one line.
    pub(super) text: String,
    pub(super) base: String,
    pub(super) platform: Option<String>,
    pub(super) name: Option<String>,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) line: usize,
    /// The instruction on one line, for people.
    pub(super) text: String,
    pub(super) act: Act,
}

/// What an instruction asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    Arg(Vec<Argument>),
    Env(Vec<(String, String)>),
    Label(Vec<(String, String)>),
    Workdir(String),
    User(String),
    Cmd(Command),
    Entrypoint(Command),
    Expose(Vec<String>),
    Volume(Vec<String>),
    Shell(Vec<String>),
    StopSignal(String),
    /// Its options and command; `NONE` without one.
    Healthcheck(Vec<Option_>, Option<Command>),
    OnBuild(String),
    Maintainer(String),
    Run(Run),
    Copy(Copy),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    Exec(Vec<String>),
    Shell(String),
}

/// `--name=value`; a flag without a value is `true`.
pub(super) type Option_ = (String, String);

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) options: Vec<Option_>,
    pub(super) command: Command,
    /// The text of a here-document that is the whole command.
    pub(super) script: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Copy {
    /// ADD: sources may be URLs, and archives are unpacked.
    pub(super) add: bool,
    pub(super) options: Vec<Option_>,
    pub(super) sources: Vec<From>,
    pub(super) destination: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum From {
    Path(String),
    /// A file whose content stands in the Dockerfile.
    Text {
        name: String,
        content: String,
        expand: bool,
    },
}

/// Reads a Dockerfile.
pub(super) fn read(text: &str) -> Result<Dockerfile, Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let instructions = parse_dockerfile::parse_iter(text).map_err(|error| wrong(text, &error))?;
    let instructions = instructions.collect::<Result<Vec<_>, _>>();
    let instructions = instructions.map_err(|error| wrong(text, &error))?;
    let starts: Vec<usize> = instructions.iter().map(start).collect();
    let mut file = Dockerfile::default();
    for (number, instruction) in instructions.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(text.len());
        let text = Text::new(text, starts[number], end);
        if let Instruction::From(from) = instruction {
            let options = options(&from.options);
            let name = from.as_.as_ref().map(|(_, name)| name.value.to_lowercase());
            if let Some((flag, _)) = options.iter().find(|(flag, _)| flag != "platform") {
                return Err(text.wrong(format!("FROM has no option --{flag}")));
            }
            file.stages.push(Stage {
                line: text.line,
                text: text.on_one_line(),
                base: from.image.value.to_string(),
                platform: options.into_iter().next().map(|(_, platform)| platform),
                name,
                steps: Vec::new(),
            });
            continue;
        }
        let act = act(instruction, &text)?;
        match (file.stages.last_mut(), act) {
            (Some(stage), act) => stage.steps.push(Step {
                line: text.line,
                text: text.on_one_line(),
                act,
            }),
            (None, Act::Arg(arguments)) => file.arguments.extend(arguments),
            (None, _) => return Err(text.wrong("the first instruction is FROM, after ARGs at most".to_owned())),
        }
    }
    Ok(file)
}

/// Reads one instruction that an image keeps for those that are built upon it.
pub(super) fn read_trigger(trigger: &str) -> Result<Step, Wrong> {
    let file = read(&format!("FROM scratch\n{trigger}\n"))?;
    let step = file.stages.into_iter().flat_map(|stage| stage.steps).next();
    step.ok_or_else(|| Wrong::new(1, format!("ONBUILD {trigger:?} is no instruction")))
}

fn wrong(text: &str, error: &parse_dockerfile::Error) -> Wrong {
    let line = error.line().max(1);
    let what = format!("{error:#}");
    let above = line
        .checked_sub(2)
        .and_then(|above| text.lines().nth(above))
        .unwrap_or_default();
    if above.contains("<<") {
        // The parser takes a here-document only as the first word of a RUN.
        return Wrong::new(
            line - 1,
            format!("{}: a here-document comes first: RUN <<EOF COMMAND", above.trim()),
        );
    }
    let word = what
        .strip_prefix("unknown instruction '")
        .and_then(|rest| rest.strip_suffix('\''));
    let Some(word) = word else {
        let source = text.lines().nth(line - 1).unwrap_or_default().trim();
        return Wrong::new(
            line,
            if source.is_empty() {
                what
            } else {
                format!("{source}: {what}")
            },
        );
    };
    let upper = word.to_uppercase();
    let nearest = INSTRUCTIONS
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known, &upper), known))
        .min();
    let what = match nearest {
        Some((slips, known)) if slips <= 2 => format!("there is no instruction {word}: did you mean {known}?"),
        _ => format!(
            "there is no instruction {word}: there are {}; a line that goes on ends with \\",
            INSTRUCTIONS.join(", ")
        ),
    };
    Wrong::new(line, what)
}

fn start(instruction: &Instruction<'_>) -> usize {
    let keyword = match instruction {
        Instruction::Add(it) => &it.add,
        Instruction::Arg(it) => &it.arg,
        Instruction::Cmd(it) => &it.cmd,
        Instruction::Copy(it) => &it.copy,
        Instruction::Entrypoint(it) => &it.entrypoint,
        Instruction::Env(it) => &it.env,
        Instruction::Expose(it) => &it.expose,
        Instruction::From(it) => &it.from,
        Instruction::Healthcheck(it) => &it.healthcheck,
        Instruction::Label(it) => &it.label,
        Instruction::Maintainer(it) => &it.maintainer,
        Instruction::Onbuild(it) => &it.onbuild,
        Instruction::Run(it) => &it.run,
        Instruction::Shell(it) => &it.shell,
        Instruction::Stopsignal(it) => &it.stopsignal,
        Instruction::User(it) => &it.user,
        Instruction::Volume(it) => &it.volume,
        Instruction::Workdir(it) => &it.workdir,
        _ => return 0,
    };
    keyword.span.start
}

fn act(instruction: &Instruction<'_>, text: &Text<'_>) -> Result<Act, Wrong> {
    let in_pairs = |arguments: &str| pairs(arguments).map_err(|what| text.wrong(what));
    Ok(match instruction {
        Instruction::Arg(it) => {
            let named = |(name, value): (String, Option<String>)| (name, value);
            Act::Arg(text::arguments(&it.arguments.value).into_iter().map(named).collect())
        }
        Instruction::Env(it) => Act::Env(in_pairs(&it.arguments.value)?),
        Instruction::Label(it) => Act::Label(in_pairs(&it.arguments.value)?),
        Instruction::Workdir(it) => Act::Workdir(it.arguments.value.to_string()),
        Instruction::User(it) => Act::User(it.arguments.value.to_string()),
        Instruction::Cmd(it) => Act::Cmd(command(&it.arguments)),
        Instruction::Entrypoint(it) => Act::Entrypoint(command(&it.arguments)),
        Instruction::Expose(it) => Act::Expose(it.arguments.iter().map(|word| word.value.to_string()).collect()),
        Instruction::Volume(it) => {
            let words = match &it.arguments {
                JsonOrStringArray::Json(words) => &words.value,
                JsonOrStringArray::String(words) => words,
            };
            Act::Volume(words.iter().map(|word| word.value.to_string()).collect())
        }
        Instruction::Shell(it) => Act::Shell(it.arguments.iter().map(|word| word.value.to_string()).collect()),
        Instruction::Stopsignal(it) => Act::StopSignal(it.arguments.value.to_string()),
        Instruction::Healthcheck(it) => {
            let command = match &it.arguments {
                HealthcheckArguments::Cmd { arguments, .. } => Some(command(arguments)),
                _ => None,
            };
            Act::Healthcheck(options(&it.options), command)
        }
        Instruction::Onbuild(it) => {
            if matches!(*it.instruction, Instruction::Onbuild(_) | Instruction::From(_)) {
                return Err(text.wrong("ONBUILD takes neither ONBUILD nor FROM".to_owned()));
            }
            Act::OnBuild(text.from(start(&it.instruction)))
        }
        Instruction::Maintainer(it) => Act::Maintainer(it.name.value.to_string()),
        Instruction::Run(it) => run(it, text),
        Instruction::Copy(it) => copy(false, &it.options, &it.src, &it.dest.value, text)?,
        Instruction::Add(it) => copy(true, &it.options, &it.src, &it.dest.value, text)?,
        _ => return Err(text.wrong("this instruction isn't known here".to_owned())),
    })
}

fn run(it: &parse_dockerfile::RunInstruction<'_>, text: &Text<'_>) -> Act {
    let written = command(&it.arguments);
    // A command that is nothing but a here-document is its text; else the shell gets all of it as it is written.
    let only_document = matches!(&written, Command::Shell(rest) if rest.is_empty());
    let (command, script) = match (&it.arguments, it.here_docs.last()) {
        (Parsed::Shell(_), Some(_)) if !only_document => (Command::Shell(text.after_mark("<<")), None),
        (_, Some(_)) => {
            let script: String = it.here_docs.iter().map(|document| document.value.as_ref()).collect();
            (written, Some(script))
        }
        (_, None) => (written, None),
    };
    Act::Run(Run {
        options: options(&it.options),
        command,
        script,
    })
}

fn copy(
    add: bool,
    flags: &[Flag<'_>],
    sources: &[Source<'_>],
    destination: &str,
    text: &Text<'_>,
) -> Result<Act, Wrong> {
    let mut names = text.here_document_names().into_iter();
    let source = |source: &Source<'_>| match source {
        Source::Path(path) => Ok(From::Path(path.value.to_string())),
        Source::HereDoc(HereDoc { expand, value, .. }) => Ok(From::Text {
            name: names.next().unwrap_or_else(|| "EOF".to_owned()),
            content: value.to_string(),
            expand: *expand,
        }),
        _ => Err(text.wrong("this source isn't known here".to_owned())),
    };
    Ok(Act::Copy(Copy {
        add,
        options: options(flags),
        sources: sources.iter().map(source).collect::<Result<_, _>>()?,
        destination: destination.to_owned(),
    }))
}

fn command(parsed: &Parsed<'_>) -> Command {
    match parsed {
        Parsed::Exec(words) => Command::Exec(words.value.iter().map(|word| word.value.to_string()).collect()),
        Parsed::Shell(line) => Command::Shell(text::joined(line.value)),
        _ => Command::Exec(Vec::new()),
    }
}

fn options(flags: &[Flag<'_>]) -> Vec<Option_> {
    let option = |flag: &Flag<'_>| {
        let value = flag
            .value
            .as_ref()
            .map_or("true".to_owned(), |value| value.value.to_string());
        (flag.name.value.to_string(), value)
    };
    flags.iter().map(option).collect()
}

#[cfg(test)]
mod tests;
