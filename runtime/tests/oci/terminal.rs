//! Terminals: the master goes to a socket, or is joined with ours.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;

use minik_runtime::sys::descriptors;

use crate::bundle::Bundle;

fn master(listener: &UnixListener) -> std::fs::File {
    let (socket, _) = listener.accept().unwrap();
    let (length, mut fds): (usize, Vec<OwnedFd>) = descriptors::receive(socket.as_fd(), &mut [0; 4096]).unwrap();
    assert!(length > 0 && fds.len() == 1, "one descriptor and its name");
    fds.remove(0).into()
}

#[test]
fn the_master_of_a_terminal_goes_to_the_console_socket() {
    let script = "test -t 0 && test -t 2 && echo tty; read line; echo got $line; sleep 100";
    let bundle = Bundle::script(script).with(|config| config["process"]["terminal"] = true.into());
    let listener = UnixListener::bind(bundle.path("console.sock")).unwrap();
    assert!(bundle.make().failed().contains("console socket"));
    assert!(
        bundle
            .on("create", &["--console-socket", "console.sock"])
            .ok()
            .is_empty()
    );
    let mut console = master(&listener);
    bundle.on("start", &[]).ok();
    let read_until = |console: &mut std::fs::File, wanted: &str| {
        let mut text = String::new();
        while !text.contains(wanted) {
            let mut buffer = [0; 256];
            let length = console.read(&mut buffer).unwrap();
            text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    };
    read_until(&mut console, "tty\r\n");
    console.write_all(b"hello\n").unwrap();
    read_until(&mut console, "got hello\r\n");
    let line = [
        "exec",
        "-t",
        "-d",
        "--console-socket",
        "console.sock",
        &bundle.id,
        "sh",
        "-c",
        "test -t 1 && echo second",
    ];
    let mut command = bundle.command(&line);
    assert!(command.status().unwrap().success());
    read_until(&mut master(&listener), "second\r\n");
}

#[test]
fn run_joins_the_terminal_with_its_own_streams() {
    let bundle =
        Bundle::script("test -t 1 && echo tty; exit 3").with(|config| config["process"]["terminal"] = true.into());
    let ended = bundle.run();
    assert_eq!((ended.code, ended.stdout.as_str()), (3, "tty"));
}
