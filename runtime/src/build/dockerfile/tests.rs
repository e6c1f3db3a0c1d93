//! What is understood, and where it is said to be wrong.

use super::*;

fn steps(text: &str) -> Vec<Step> {
    let file = read(&format!("FROM a\n{text}")).expect("a Dockerfile");
    file.stages.into_iter().flat_map(|stage| stage.steps).collect()
}

fn act_of(text: &str) -> Act {
    steps(text).remove(0).act
}

#[test]
fn stages_have_names_bases_and_lines() {
    let file = read(
        "# syntax=docker/dockerfile:1\nARG V=1\nFROM go:${V} AS Build\nRUN make\n\nFROM scratch\nCOPY --from=build /a /b\n",
    )
    .expect("a Dockerfile");
    assert_eq!(file.arguments, [("V".to_owned(), Some("1".to_owned()))]);
    let shape = |stage: &Stage| (stage.line, stage.base.clone(), stage.name.clone());
    assert_eq!(
        shape(&file.stages[0]),
        (3, "go:${V}".to_owned(), Some("build".to_owned()))
    );
    assert_eq!(shape(&file.stages[1]), (6, "scratch".to_owned(), None));
    let Act::Copy(copy) = &file.stages[1].steps[0].act else {
        panic!("a copy")
    };
    assert_eq!(copy.options, [("from".to_owned(), "build".to_owned())]);
    assert_eq!((copy.sources.len(), copy.destination.as_str()), (1, "/b"));
}

#[test]
fn a_command_goes_on_over_comments() {
    let steps = steps("RUN apt update \\\n  # why\n\n  && apt install\nCMD [\"bash\", \"-l\"]\n");
    let Act::Run(run) = &steps[0].act else { panic!("a run") };
    assert_eq!(run.command, Command::Shell("apt update   && apt install".to_owned()));
    assert_eq!(steps[0].text, "RUN apt update && apt install");
    assert_eq!(steps[1].line, 6);
    assert_eq!(
        steps[1].act,
        Act::Cmd(Command::Exec(vec!["bash".to_owned(), "-l".to_owned()]))
    );
}

#[test]
fn here_documents_are_scripts_and_files() {
    let Act::Run(run) = act_of("RUN <<EOF\n# not a comment\necho 1\nEOF\nUSER 1\n") else {
        panic!("a run")
    };
    assert_eq!(run.script.as_deref(), Some("# not a comment\necho 1\n"));
    let Act::Run(run) = act_of("RUN <<EOF cat > /x\nhello\nEOF\n") else {
        panic!("a run")
    };
    assert_eq!(run.command, Command::Shell("<<EOF cat > /x\nhello\nEOF\n".to_owned()));
    let Act::Copy(copy) = act_of("COPY <<'conf' /etc/\na=$b\nconf\n") else {
        panic!("a copy")
    };
    let content = From::Text {
        name: "conf".to_owned(),
        content: "a=$b\n".to_owned(),
        expand: false,
    };
    assert_eq!(copy.sources, [content]);
}

#[test]
fn pairs_keep_their_quotes_until_they_are_expanded() {
    let two = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        act_of("ENV A=1 B=\"two words\" C=x\\ y"),
        Act::Env(vec![two("A", "1"), two("B", "\"two words\""), two("C", "x\\ y")])
    );
    assert_eq!(act_of("ENV A the rest"), Act::Env(vec![two("A", "\"the rest\"")]));
    assert_eq!(
        act_of("ARG A B=2"),
        Act::Arg(vec![("A".to_owned(), None), ("B".to_owned(), Some("2".to_owned()))])
    );
}

#[test]
fn what_is_wrong_has_a_line_and_a_hint() {
    for (text, line, words) in [
        (
            "FROM a\n\nRNU true\n",
            3,
            "there is no instruction RNU: did you mean RUN?",
        ),
        ("FROM a\nENV A\n", 2, "A has no value: write A=VALUE"),
        ("FROM a\nCOPY x\n", 2, "at least two"),
        ("FROM a\nRUN x\n  && y\n", 3, "a line that goes on ends with \\"),
        ("FROM a\nRUN cat <<EOF\nhello\nEOF\n", 2, "a here-document comes first"),
        ("FROM --fast a\n", 1, "FROM has no option --fast"),
        ("RUN true\n", 1, "FROM"),
        ("", 1, "FROM"),
    ] {
        let wrong = read(text).expect_err(text);
        assert_eq!(wrong.line, line, "{text}: {}", wrong.what);
        assert!(wrong.what.contains(words), "{text}: {}", wrong.what);
    }
}

#[test]
fn triggers_are_instructions() {
    assert_eq!(act_of("ONBUILD RUN make"), Act::OnBuild("RUN make".to_owned()));
    let step = read_trigger("RUN make").expect("a step");
    assert!(matches!(step.act, Act::Run(_)));
}

proptest::proptest! {
    #[test]
    fn reading_never_panics(text in "(FROM a\n)?([A-Z]{3,5} [-\\\\ a-z<=\"'$#\n\\[\\]]{0,40}\n){0,4}") {
        let _ = read(&text);
    }
}
