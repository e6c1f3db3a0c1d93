//! Logs, terminals, attached clients.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use minik_runtime::shim::Exit;
use serde_json::{Value, json};

use super::Test;
use super::pod::Pod;

pub(crate) const TESTS: &[Test] = &[
    (
        "output_is_logged_by_stream_and_line",
        output_is_logged_by_stream_and_line,
    ),
    ("a_rotated_log_is_opened_anew", a_rotated_log_is_opened_anew),
    ("an_attached_client_sees_and_speaks", an_attached_client_sees_and_speaks),
    ("stdin_stays_open_unless_once", stdin_stays_open_unless_once),
    ("a_terminal_has_size_and_echo", a_terminal_has_size_and_echo),
    ("a_slow_client_is_dropped", a_slow_client_is_dropped),
    ("the_user_may_open_its_stdout", the_user_may_open_its_stdout),
];

fn with_stdin(once: bool) -> impl FnOnce(&mut Value) {
    move |config| {
        config["annotations"]["minik.dev/stdin"] = json!("true");
        config["annotations"]["minik.dev/stdin-once"] = json!(once.to_string());
    }
}

fn output_is_logged_by_stream_and_line() {
    let mut pod = Pod::new();
    let script = "echo one; echo two >&2; head -c 20000 /dev/zero | tr '\\0' x; echo; echo -n end";
    pod.run("c1", script, |_| {});
    let log = pod.log("c1");
    assert!(log.contains(&"stdout F one".to_owned()) && log.contains(&"stderr F two".to_owned()));
    let long: Vec<&String> = log.iter().filter(|line| line.ends_with("xxx")).collect();
    assert_eq!(
        (long.len(), long[0].len(), long[1].len()),
        (2, 16384 + 9, 20000 - 16384 + 9)
    );
    assert!(long[0].starts_with("stdout P x") && long[1].starts_with("stdout F x"));
    assert_eq!(log.last().unwrap(), "stdout F end");
}

/// A client whose three streams are pipes of this test.
struct Client {
    stdin: Option<std::io::PipeWriter>,
    stdout: std::io::PipeReader,
    end: std::pin::Pin<Box<dyn Future<Output = Option<Exit>> + Send>>,
}

fn attach(pod: &Pod, id: &str) -> Client {
    let (stdin_reader, stdin) = std::io::pipe().unwrap();
    let (stdout, stdout_writer) = std::io::pipe().unwrap();
    let streams = [OwnedFd::from(stdin_reader), OwnedFd::from(stdout_writer)];
    let [stdin_end, stdout_end] = streams.map(Some);
    let end = pod.wait(pod.shim.attach(id, stdin_end, stdout_end, None)).unwrap();
    Client {
        stdin: Some(stdin),
        stdout,
        end: Box::pin(end),
    }
}

impl Client {
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.stdout.read(&mut byte).unwrap() == 1 {
            if byte == *b"\n" {
                break;
            }
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }
}

fn a_rotated_log_is_opened_anew() {
    let mut pod = Pod::new();
    pod.start("c1", &["sh", "-c", "echo first; read x; echo $x"], with_stdin(true));
    let mut client = attach(&pod, "c1");
    let (old, new) = (pod.bundle("c1").join("0.log"), pod.bundle("c1").join("0.log.1"));
    std::fs::rename(&old, &new).unwrap();
    pod.wait(pod.shim.reopen_log("c1")).unwrap();
    client.stdin.as_mut().unwrap().write_all(b"second\n").unwrap();
    pod.ended("c1");
    assert_eq!(pod.log("c1").last().unwrap(), "stdout F second");
    assert!(!std::fs::read_to_string(new).unwrap().contains("second"));
}

fn an_attached_client_sees_and_speaks() {
    let mut pod = Pod::new();
    pod.start(
        "c1",
        &["sh", "-c", "while read x; do echo got $x; done; exit 6"],
        with_stdin(true),
    );
    let (mut first, mut second) = (attach(&pod, "c1"), attach(&pod, "c1"));
    first.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
    assert_eq!([first.line(), second.line()], ["got hello", "got hello"]);
    // Larger than all pipes on the way: the client waits, nothing is lost.
    let lines: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    let mut stdin = first.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let reader = std::thread::spawn(move || {
        let last = (0..20_000).map(|_| second.line()).last();
        (last, second)
    });
    let lines: Vec<String> = (0..20_000).map(|_| first.line()).collect();
    assert_eq!((lines[0].as_str(), lines[19_999].as_str()), ("got 0", "got 19999"));
    writer.join().unwrap().unwrap();
    assert_eq!(reader.join().unwrap().0.unwrap(), "got 19999");
    // The first client's stdin has closed, and with it the container's.
    let exit = pod.ended("c1");
    assert_eq!(exit.code, 6);
    assert_eq!(pod.wait(first.end), Some(exit));
}

fn stdin_stays_open_unless_once() {
    let pod = Pod::new();
    pod.start(
        "c1",
        &["sh", "-c", "while read x; do echo got $x; done"],
        with_stdin(false),
    );
    let mut first = attach(&pod, "c1");
    first.stdin.as_mut().unwrap().write_all(b"1\n").unwrap();
    assert_eq!(first.line(), "got 1");
    drop(first);
    let mut second = attach(&pod, "c1");
    second.stdin.as_mut().unwrap().write_all(b"2\n").unwrap();
    assert_eq!(second.line(), "got 2");
}

fn a_terminal_has_size_and_echo() {
    let mut pod = Pod::new();
    let terminal = |config: &mut Value| {
        config["process"]["terminal"] = json!(true);
        config["process"]["consoleSize"] = json!({"width": 60, "height": 20});
    };
    let script = "stty size; readlink /proc/self/fd/0; test -c /dev/console && echo console; read x; echo go; read x; stty size; exit 2";
    pod.start("c1", &["sh", "-c", script], terminal);
    let mut client = attach(&pod, "c1");
    // It may have come too late to see all, but it sees what comes after its own line.
    client.stdin.as_mut().unwrap().write_all(b"ready\n").unwrap();
    while client.line().trim() != "go" {}
    pod.wait(pod.shim.resize("c1", 70, 30)).unwrap();
    client.stdin.as_mut().unwrap().write_all(b"typed\n").unwrap();
    assert_eq!(pod.ended("c1").code, 2);
    let stdout = pod.stdout("c1").replace('\r', "");
    let echoed = |line: &&str| !["ready", "typed"].contains(line);
    let printed: Vec<&str> = stdout.lines().filter(echoed).collect();
    assert_eq!(printed, ["20 60", "/dev/pts/0", "console", "go", "30 70"]);
    assert!(
        stdout.contains("ready") && stdout.contains("typed"),
        "a terminal echoes: {stdout}"
    );
    assert!(pod.wait(client.end).is_some());
}

fn a_slow_client_is_dropped() {
    let mut pod = Pod::new();
    pod.start(
        "c1",
        &["sh", "-c", "read x; yes 0123456789 | head -c 3000000; echo; echo done"],
        with_stdin(false),
    );
    let mut slow = attach(&pod, "c1");
    slow.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    // It reads nothing, and the container comes to its end all the same.
    assert_eq!(pod.ended("c1").code, 0);
    assert_eq!(pod.log("c1").last().unwrap(), "stdout F done");
}

fn the_user_may_open_its_stdout() {
    let mut pod = Pod::new();
    let user = |config: &mut Value| {
        config["process"]["user"] = json!({"uid": 101, "gid": 102});
        config["process"]["capabilities"] = json!({});
    };
    let (exit, text) = pod.run("c1", "echo again > /dev/stdout; id", user);
    assert_eq!(exit.code, 0);
    assert_eq!(text, "again\nuid=101(web) gid=102");
}
