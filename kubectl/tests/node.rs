//! A node of the real executable, looked at from outside: started, hurt and taken away again.
//!
//! Each test has directories, a network namespace and an instance of its own, so that tests run side by side and touch no
//! node of the user's. They need root, and fail saying so without it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use serde_json::Value;

const PROGRAMS: [&str; 6] = [
    "supervisor",
    "runtime",
    "apiserver",
    "scheduler",
    "controllers",
    "kubelet",
];

/// An instance in a place of its own; taken away when the test ends, however it ends.
struct Node {
    name: String,
    dir: tempfile::TempDir,
}

impl Node {
    fn new(test: &str) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests make namespaces and mounts: run them as root"
        );
        prctl::set_child_subreaper(true).expect("any process may ask for that");
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace for this test's thread");
        loopback_up();
        Self {
            name: format!("t-{test}-{}", std::process::id()),
            dir: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("home/.kube/config")
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minikctl"));
        command
            .args([verb, "--instance", &self.name])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path().join("home"))
            .stdin(Stdio::null());
        command
    }

    fn up(&self, arguments: &[&str]) -> Output {
        let mut command = self.command("up");
        command
            .arg("--data-dir")
            .arg(self.data())
            .arg("--run-dir")
            .arg(self.dir.path().join("run"));
        command.args(arguments).output().expect("the executable starts")
    }

    fn run(&self, verb: &str, arguments: &[&str]) -> Output {
        self.command(verb)
            .args(arguments)
            .output()
            .expect("the executable starts")
    }

    fn status(&self) -> Value {
        let output = self.run("status", &["-o", "json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
    }

    /// The supervisor's account of what happens, a JSON message a line.
    fn follow(&self) -> impl Iterator<Item = Value> + use<> {
        let mut stream =
            UnixStream::connect(self.dir.path().join("run/supervisor.sock")).expect("the supervisor listens");
        stream.write_all(b"\"Follow\"\n").expect("it reads");
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.map(|line| serde_json::from_str(&line).expect("each line is JSON"))
    }

    fn pid(&self, program: &str) -> Pid {
        let status = self.status();
        let programs = status["programs"].as_array().expect("a list");
        let found = programs
            .iter()
            .find(|found| found["name"] == program)
            .expect("the program is listed");
        let pid = found["pid"]
            .as_i64()
            .unwrap_or_else(|| panic!("{program} has no process: {status}"));
        Pid::from_raw(i32::try_from(pid).expect("a process number"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let output = self.run("down", &["--purge"]);
        if !output.status.success() && !std::thread::panicking() {
            panic!("down --purge: {}", said(&output));
        }
    }
}

#[test]
fn a_node_comes_up_once_stays_down_and_comes_back() {
    let node = Node::new("life");
    let output = node.up(&[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("The node is up after"), "{}", said(&output));
    let status = node.status();
    assert_eq!(status["node"]["ready"], true, "{status}");
    for program in PROGRAMS {
        let comm = fs::read_to_string(format!("/proc/{}/comm", node.pid(program))).expect("it runs");
        assert_eq!(comm.trim(), program, "ps shows each program under its own name");
    }
    let kubeconfig = fs::read_to_string(node.kubeconfig()).expect("up wrote it");
    assert!(
        kubeconfig.contains(&format!("current-context: minik-{}", node.name)),
        "{kubeconfig}"
    );

    let before = node.pid("apiserver");
    let again = node.up(&[]);
    assert!(
        again.status.success() && said(&again).contains("up already"),
        "{}",
        said(&again)
    );
    assert_eq!(node.pid("apiserver"), before, "a second up changes nothing");

    let pids: Vec<Pid> = PROGRAMS.iter().map(|program| node.pid(program)).collect();
    let down = node.run("down", &[]);
    assert!(down.status.success(), "{}", said(&down));
    for pid in pids {
        assert!(!runs(pid), "process {pid} has ended");
    }
    assert!(node.data().join("pki/ca.crt").exists(), "the data is kept");
    assert!(!node.dir.path().join("run").exists(), "nothing else is");
    assert_eq!(
        node.run("status", &[]).status.code(),
        Some(1),
        "a node that is down isn't well"
    );

    let authority = fs::read(node.data().join("pki/ca.crt")).expect("it was kept");
    let back = node.up(&[]);
    assert!(back.status.success(), "{}", said(&back));
    assert_eq!(
        fs::read(node.data().join("pki/ca.crt")).expect("it was kept"),
        authority
    );
    let purge = node.run("down", &["--purge"]);
    assert!(purge.status.success(), "{}", said(&purge));
    assert!(!node.data().exists());
    let kubeconfig = fs::read_to_string(node.kubeconfig()).expect("other contexts may be in it");
    assert!(!kubeconfig.contains(&node.name), "{kubeconfig}");
}

#[test]
fn what_dies_is_started_again_and_the_node_gets_well() {
    let node = Node::new("kill");
    let output = node.up(&[]);
    assert!(output.status.success(), "{}", said(&output));
    for program in ["scheduler", "controllers", "kubelet", "runtime", "apiserver"] {
        let before = node.pid(program);
        let following = node.follow();
        kill(before, Signal::SIGKILL).expect("it runs");
        await_failure(following, program);
        // A second `up` waits until all programs are ready and the node is.
        let again = node.up(&[]);
        assert!(again.status.success(), "{program}: {}", said(&again));
        assert_ne!(node.pid(program), before, "{program}");
        let status = node.status();
        let restarts: u64 = status["programs"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|found| found["restarts"].as_u64())
            .sum();
        assert!(restarts >= 1, "{status}");
    }
}

#[test]
fn programs_end_with_their_supervisor_and_the_next_up_starts_over() {
    let node = Node::new("orphan");
    let output = node.up(&[]);
    assert!(output.status.success(), "{}", said(&output));
    let children: Vec<Pid> = PROGRAMS[1..].iter().map(|program| node.pid(program)).collect();
    let supervisor = node.pid("supervisor");
    kill(supervisor, Signal::SIGKILL).expect("it runs");
    // Orphans become this process' children, so their end can be awaited: first the supervisor, then what it left.
    for orphan in [supervisor].into_iter().chain(children) {
        waitpid(orphan, None).unwrap_or_else(|error| panic!("process {orphan}: {error}"));
    }
    let again = node.up(&[]);
    assert!(again.status.success(), "{}", said(&again));
    assert!(!said(&again).contains("already"), "{}", said(&again));
}

#[test]
fn a_taken_port_is_passed_over_and_its_holder_named() {
    let node = Node::new("port");
    let wanted = free_port();
    let holder = TcpListener::bind(("127.0.0.1", wanted)).expect("the port was free");
    let refused = node.up(&["--api-port", &wanted.to_string()]);
    assert_eq!(refused.status.code(), Some(1));
    let message = said(&refused);
    assert!(message.contains(&format!("port {wanted} is taken by")), "{message}");
    assert!(message.contains(&format!("(pid {})", std::process::id())), "{message}");
    drop(holder);

    let first = node.up(&["--api-port", &wanted.to_string()]);
    assert!(first.status.success(), "{}", said(&first));
    assert_eq!(node.status()["server"], format!("https://127.0.0.1:{wanted}"));
}

#[test]
fn in_the_foreground_it_stays_until_it_is_interrupted() {
    let node = Node::new("fore");
    let mut command = node.command("up");
    command
        .arg("--foreground")
        .arg("--data-dir")
        .arg(node.data())
        .arg("--run-dir")
        .arg(node.dir.path().join("run"));
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the executable starts");
    wait_for_line(&mut child, "is Ready");
    let kubelet = node.pid("kubelet");
    assert_eq!(
        node.pid("supervisor").as_raw().unsigned_abs(),
        child.id(),
        "it is the supervisor itself"
    );
    kill(
        Pid::from_raw(i32::try_from(child.id()).expect("a process number")),
        Signal::SIGINT,
    )
    .expect("it runs");
    assert!(child.wait().expect("it is our child").success());
    assert!(!runs(kubelet));
}

#[test]
fn without_root_the_command_to_type_is_named() {
    let node = Node::new("user");
    // A place where anybody can read and execute, which a build directory need not be.
    let copy = Path::new("/tmp").join(format!("minikctl-{}", std::process::id()));
    fs::copy(env!("CARGO_BIN_EXE_minikctl"), &copy).expect("there is room");
    let mut command = Command::new(&copy);
    let output = command
        .args(["up", "--instance", &node.name])
        .uid(65_534)
        .gid(65_534)
        .output();
    fs::remove_file(&copy).expect("it is ours");
    let output = output.expect("the executable starts");
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("sudo {} up --instance {}", copy.display(), node.name);
    assert!(said(&output).contains(&expected), "{}", said(&output));
}

#[test]
fn doctor_speaks_to_people_and_programs() {
    let node = Node::new("doctor");
    let plain = node.run("doctor", &[]);
    assert!(plain.status.success(), "{}", said(&plain));
    assert!(!said(&plain).contains('\u{1b}'), "no colours in a pipe");
    // This namespace has no way out, so names can't be looked up: a warning, with what to do.
    assert!(
        said(&plain).contains("DNS: Docker Hub is not found"),
        "{}",
        said(&plain)
    );
    let json = node.run("doctor", &["-o", "json"]);
    let checks: Vec<Value> = serde_json::from_slice(&json.stdout).expect("JSON");
    let overlay = checks
        .iter()
        .find(|check| check["name"] == "overlayfs")
        .expect("it is checked");
    assert_eq!(overlay["verdict"], "ok");
}

fn await_failure(mut following: impl Iterator<Item = Value>, program: &str) {
    let failed =
        |message: &Value| message["Phase"]["program"] == program && message["Phase"]["what"]["Failed"].is_object();
    assert!(
        following.any(|message| failed(&message)),
        "the supervisor sees that {program} died"
    );
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn runs(pid: Pid) -> bool {
    // A zombie has ended: field 3 of proc_pid_stat(5), after the name in brackets.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is up");
    listener.local_addr().expect("is bound").port()
}

fn wait_for_line(child: &mut Child, wanted: &str) {
    let stderr = child.stderr.take().expect("it was asked for");
    let mut heard = String::new();
    let mut lines = BufReader::new(stderr).lines();
    let found = lines.by_ref().map_while(Result::ok).any(|line| {
        heard.push_str(&line);
        heard.push('\n');
        line.contains(wanted)
    });
    assert!(found, "never said {wanted:?}:\n{heard}");
    // Keep reading, so that it never blocks on its own messages.
    std::thread::spawn(move || lines.for_each(drop));
}

fn loopback_up() {
    let status = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(status.expect("iproute2 is there").success(), "loopback comes up");
}
