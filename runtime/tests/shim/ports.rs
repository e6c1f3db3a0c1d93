//! Ports of the host that lead into the pod, and connections into it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};

use minik_runtime::shim::{FaultKind, PortMapping, Protocol};

use super::Test;
use super::pod::Pod;

pub(crate) const TESTS: &[Test] = &[
    ("a_shim_that_fails_leaves_nothing", a_shim_that_fails_leaves_nothing),
    ("a_sandbox_has_one_shim", a_sandbox_has_one_shim),
    ("a_host_port_leads_into_the_pod", a_host_port_leads_into_the_pod),
    ("datagrams_find_their_way_back", datagrams_find_their_way_back),
    ("a_taken_port_is_named", a_taken_port_is_named),
    ("port_forward_connects_inside", port_forward_connects_inside),
];

fn mapping(protocol: Protocol, host_port: u16, container_port: u16) -> PortMapping {
    PortMapping {
        protocol,
        host_ip: None,
        host_port,
        container_port,
    }
}

/// A server in the pod's network namespace, which echoes what it gets: a thread that enters it makes the socket.
fn echo_server(pod: &Pod, address: &'static str, connections: usize) -> std::thread::JoinHandle<()> {
    let namespace = std::fs::File::open(pod.sandbox().join("ns/net")).unwrap();
    let bound = std::thread::spawn(move || {
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        TcpListener::bind(address).unwrap()
    });
    let listener = bound.join().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(connections) {
            let mut stream = stream.unwrap();
            let mut reader = stream.try_clone().unwrap();
            std::io::copy(&mut reader, &mut stream).unwrap();
        }
    })
}

/// Asks, closes its half, and reads to the end: the half-close has to get through for an answer to end.
fn ask(mut stream: TcpStream, question: Vec<u8>) -> Vec<u8> {
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(10)))
        .unwrap();
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        writer
            .write_all(&question)
            .and_then(|()| writer.shutdown(Shutdown::Write))
    });
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    writing.join().unwrap().unwrap();
    answer
}

fn a_host_port_leads_into_the_pod() {
    let pod = Pod::with(|spec| spec.port_mappings = vec![mapping(Protocol::Tcp, 18080, 80)]);
    let connect = |address| TcpStream::connect(address).unwrap();
    let mut nobody = connect("127.0.0.1:18080");
    let end = nobody.read(&mut [0]);
    assert!(matches!(end, Ok(0) | Err(_)), "closed while nobody listens in the pod");
    let server = echo_server(&pod, "0.0.0.0:80", 3);
    assert_eq!(ask(connect("127.0.0.1:18080"), b"hello".to_vec()), b"hello");
    assert_eq!(ask(connect("[::1]:18080"), b"over IPv6".to_vec()), b"over IPv6");
    let large = vec![7; 3_000_000];
    let back = ask(connect("127.0.0.1:18080"), large.clone());
    assert!(back == large, "{} bytes came back", back.len());
    server.join().unwrap();
}

fn datagrams_find_their_way_back() {
    let pod = Pod::with(|spec| spec.port_mappings = vec![mapping(Protocol::Udp, 18053, 53)]);
    // A server in the pod's network namespace: a thread that enters it makes the socket.
    let namespace = std::fs::File::open(pod.sandbox().join("ns/net")).unwrap();
    let server = std::thread::spawn(move || {
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        UdpSocket::bind("0.0.0.0:53").unwrap()
    });
    let server = server.join().unwrap();
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        for _ in 0..2 {
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            server.send_to(&buffer[..length], from).unwrap();
        }
    });
    let clients = ["127.0.0.1:0", "[::1]:0"].map(|address| UdpSocket::bind(address).unwrap());
    for (client, target) in clients.iter().zip(["127.0.0.1:18053", "[::1]:18053"]) {
        client
            .set_read_timeout(Some(std::time::Duration::from_secs(5)))
            .unwrap();
        client.send_to(target.as_bytes(), target).unwrap();
        let mut buffer = [0; 100];
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..length], from.to_string()),
            (target.as_bytes(), target.to_owned())
        );
    }
    echo.join().unwrap();
}

fn a_taken_port_is_named() {
    let _taken = TcpListener::bind("127.0.0.1:18081").unwrap();
    let error = Pod::try_with(|spec| spec.port_mappings = vec![mapping(Protocol::Tcp, 18081, 80)]);
    let Err(error) = error else { panic!("the port is taken") };
    let text = error.to_string();
    assert!(
        text.contains("hostPort 18081/Tcp") && text.contains("ss -lntup"),
        "{text}"
    );
}

fn port_forward_connects_inside() {
    let pod = Pod::new();
    let server = echo_server(&pod, "127.0.0.1:8080", 1);
    let stream = TcpStream::from(pod.wait(pod.shim.connect_port(8080)).unwrap());
    stream.set_nonblocking(false).unwrap();
    assert_eq!(ask(stream, b"inside".to_vec()), b"inside");
    server.join().unwrap();
    let server = echo_server(&pod, "[::1]:8081", 1);
    let stream = TcpStream::from(pod.wait(pod.shim.connect_port(8081)).unwrap());
    stream.set_nonblocking(false).unwrap();
    assert_eq!(ask(stream, b"inside".to_vec()), b"inside");
    server.join().unwrap();
    let error = pod.wait(pod.shim.connect_port(9)).unwrap_err();
    assert_eq!(error.fault(), Some(FaultKind::FailedPrecondition));
    let error = error.to_string();
    assert!(error.contains("port 9") && error.contains("nothing listens"), "{error}");
}

fn a_shim_that_fails_leaves_nothing() {
    let mounts = || std::fs::read_to_string("/proc/self/mounts").unwrap().lines().count();
    let before = mounts();
    let mut cgroup = None;
    let failed = Pod::try_with(|spec| {
        spec.sysctls.insert("net.no_such".to_owned(), "1".to_owned());
        cgroup = spec.cgroup_parent.clone();
    });
    let Err(error) = failed else {
        panic!("there is no such parameter")
    };
    assert!(error.to_string().contains("sysctl net.no_such"), "{error}");
    assert_eq!(mounts(), before);
    let path = minik_runtime::cgroup::CgroupPath::parse(&cgroup.unwrap()).unwrap();
    assert!(
        minik_runtime::cgroup::detect().unwrap().processes(&path).is_err(),
        "its cgroup is gone"
    );
}

fn a_sandbox_has_one_shim() {
    let pod = Pod::new();
    let executable = std::env::current_exe().unwrap();
    let second = pod.wait(minik_runtime::shim::Shim::spawn(&executable, &pod.sandbox()));
    assert!(second.unwrap_err().to_string().contains("served by a running shim"));
    assert!(pod.wait(pod.shim.state()).is_ok(), "the first is left alone");
}
