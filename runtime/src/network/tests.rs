//! The network in real namespaces: each test makes two of its own and leaves with its threads. They need root.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc;
use std::thread;

use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;

use super::*;

/// Runs `test` in a thread that has a network namespace of its own, with `lo` up.
fn in_new_namespace<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("unshare the network: these tests need root (CAP_SYS_ADMIN)");
        loopback_up();
        test()
    });
    thread.join().expect("the test in the namespace")
}

fn loopback_up() {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&1_u32.to_ne_bytes());
    header[8..12].copy_from_slice(&1_u32.to_ne_bytes());
    header[12..].copy_from_slice(&1_u32.to_ne_bytes());
    let message = netlink::Message::new(libc::RTM_NEWLINK, 0, &header);
    Socket::route()
        .and_then(|mut socket| socket.ask(message))
        .expect("set lo up");
}

/// A namespace that lives as long as this: what a shim is for a pod.
struct Pod {
    path: PathBuf,
    work: Option<mpsc::Sender<Box<dyn FnOnce() + Send>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Pod {
    fn new() -> Pod {
        let (work, queue) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (ready, path) = mpsc::channel();
        let thread = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("unshare the pod's network");
            loopback_up();
            let path = format!("/proc/{}/task/{}/ns/net", std::process::id(), gettid());
            ready.send(PathBuf::from(path)).expect("the test waits");
            for job in queue {
                job();
            }
        });
        Pod {
            path: path.recv().expect("the pod's thread"),
            work: Some(work),
            thread: Some(thread),
        }
    }

    fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        let job = Box::new(move || done.send(job()).expect("the test waits"));
        self.work
            .as_ref()
            .expect("the pod runs")
            .send(job)
            .expect("the pod's thread");
        result.recv().expect("the job in the pod")
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.work = None;
        self.thread
            .take()
            .expect("joined once")
            .join()
            .expect("the pod's thread");
    }
}

fn plan(range: &str) -> NetworkPlan {
    NetworkPlan {
        pod_cidr: range.parse().expect("a range"),
        service_cidr: "10.97.0.0/16".parse().expect("a range"),
        interface_prefix: "mktest".to_owned(),
        table: "minik-test".to_owned(),
    }
}

fn routes() -> String {
    fs::read_to_string("/proc/thread-self/net/route").expect("the namespace's routes")
}

#[test]
fn node_and_pods_reach_each_other_and_what_is_absent_is_unreachable() {
    in_new_namespace(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let record = directory.path().join("network.json");
        let network = Network::open(plan("10.96.0.0/24"), &record).expect("open the network");
        if let Err(error) = network.masquerade() {
            panic!("this machine's kernel has NAT: {error}");
        }

        let (one, two) = (Pod::new(), Pod::new());
        let addresses = [&one, &two].map(|pod| {
            let address = network.allocate().expect("an address");
            let interface = network.interface(&format!("{address}").replace('.', ""));
            network.attach(&interface, address, &pod.path).expect("attach the pod");
            (address, interface)
        });
        let first = addresses[0].0;

        let (listening, listens) = mpsc::channel();
        let server = thread::scope(|_| {
            one.run(move || {
                let listener = TcpListener::bind((first, 80)).expect("listen in the pod");
                listening.send(()).expect("the test waits");
                thread::spawn(move || {
                    let mut peers = Vec::new();
                    for _ in 0..2 {
                        let (mut stream, peer) = listener.accept().expect("a connection");
                        stream.write_all(b"hello").expect("answer");
                        peers.push(peer.ip().to_string());
                    }
                    peers
                })
            })
        });
        listens.recv().expect("the pod listens");
        let greet = move || {
            let mut text = String::new();
            let mut stream = TcpStream::connect((first, 80)).expect("connect to the pod");
            stream.read_to_string(&mut text).expect("read the greeting");
            text
        };
        assert_eq!(greet(), "hello");
        assert_eq!(two.run(greet), "hello");
        // The node is seen as the range's first address, and pods as themselves.
        assert_eq!(server.join().expect("the server"), ["10.96.0.1", "10.96.0.3"]);

        for absent in ["10.96.0.77:80", "10.97.0.1:80"] {
            let error = TcpStream::connect(absent).expect_err("nothing is there");
            assert_eq!(error.raw_os_error(), Some(libc::EHOSTUNREACH), "{absent}: {error}");
        }

        for (_, interface) in &addresses {
            Network::detach(interface).expect("detach the pod");
            Network::detach(interface).expect("detach it again");
            assert!(
                if_nametoindex(interface.as_str()).is_err(),
                "{interface} is still there"
            );
        }
        Network::undo(&record).expect("undo the network");
        Network::undo(&record).expect("undo it again");
        assert_eq!(routes().lines().count(), 1, "only the heading: {}", routes());
        assert!(!record.exists());
    });
}

#[test]
fn a_restart_finds_its_own_routes_and_a_foreign_range_is_refused() {
    in_new_namespace(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let (ours, theirs) = (directory.path().join("ours.json"), directory.path().join("theirs.json"));
        for _ in 0..2 {
            Network::open(plan("10.96.0.0/24"), &ours).expect("open the network, twice");
        }
        let refused = Network::open(plan("10.96.0.0/24"), &theirs)
            .err()
            .expect("the range is taken");
        assert!(refused.to_string().contains("--pod-cidr"), "{refused}");
        assert!(
            !theirs.exists(),
            "a refused network leaves no record that undo would follow"
        );

        Network::open(plan("10.98.0.0/24"), &ours).expect("the range was changed");
        let routes = routes();
        assert!(
            routes.contains("0000620A") && !routes.contains("0000600A"),
            "only 10.98.0.0 remains: {routes}"
        );
        Network::undo(&ours).expect("undo the network");
    });
}

#[test]
fn a_failed_attach_leaves_no_interface() {
    in_new_namespace(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let network = Network::open(plan("10.96.0.0/24"), &directory.path().join("n.json")).expect("open");
        let pod = Pod::new();
        let address = network.allocate().expect("an address");
        network.attach("mktesta", address, &pod.path).expect("attach");
        let error = network
            .attach("mktestb", address, &pod.path)
            .expect_err("eth0 is there already");
        assert!(error.to_string().contains("mktestb"), "{error}");
        assert!(if_nametoindex("mktestb").is_err());
        assert!(fs::metadata(&pod.path).is_ok_and(|namespace| namespace.ino() != 0));
    });
}
