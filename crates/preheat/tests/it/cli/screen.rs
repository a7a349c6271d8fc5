//! What someone at a terminal sees of a start.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::Shell;
use super::mask::masked;
use super::models::serve_files;

const CONFIG: &str = r#"
[server]
port = 0
grpc_port = 0
admin = "127.0.0.1:0"
[drain]
delay = "0s"
[[model]]
name = "embedder"
engine = "sim"
[model.batching]
max_batch = 1
buckets = { batch = [1], tokens = [16] }
"#;

/// Both ends of a terminal: what is seen, and what a program writes to.
fn terminal() -> (File, OwnedFd) {
    let seen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&seen).unwrap();
    unlockpt(&seen).unwrap();
    let name = ptsname(&seen, Vec::new()).unwrap();
    let name = name.to_str().unwrap();
    let written = File::options().read(true).write(true).open(name).unwrap();
    (seen.into(), written.into())
}

fn serve(shell: &Shell, screen: OwnedFd) -> Child {
    shell.command(["serve"]).stderr(screen).spawn().unwrap()
}

/// Reads until `end` was shown.
fn read_until(seen: &mut File, end: &str) -> String {
    let (mut text, mut part) = (String::new(), [0; 4096]);
    while !text.contains(end) {
        let read = seen.read(&mut part);
        let length = read.unwrap_or_else(|error| panic!("{error} after {text}"));
        text += &String::from_utf8_lossy(&part[..length]);
    }
    text
}

fn end(mut child: Child) {
    let id = Pid::from_child(&child);
    kill_process(id, Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_start_is_a_block_that_ends_with_how_it_went() {
    let (mut seen, screen) = terminal();
    let shell = Shell::with(CONFIG)
        .env("TERM", "xterm")
        .env("NO_COLOR", "1");
    let child = serve(&shell, screen);
    let text = read_until(&mut seen, "ready after ");
    end(child);
    assert!(text.contains("preheat  embedder"), "{text}");
    assert!(text.contains(" > "), "something was under way: {text}");
    let left = text.rsplit("\x1b[J").next().unwrap();
    for stage in ["fetch", "load", "warm", "prove"] {
        assert!(left.contains(&format!(" + {stage}")), "{stage} in {left}");
    }
    assert!(!text.contains("INFO") && !text.contains("\x1b[3"), "{text}");
}

#[test]
fn who_asks_for_logs_or_runs_in_ci_gets_lines() {
    for (name, value) in [("RUST_LOG", "info"), ("CI", "true"), ("TERM", "dumb")] {
        let (mut seen, screen) = terminal();
        let shell = Shell::with(CONFIG)
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .env(name, value);
        let child = serve(&shell, screen);
        let text = read_until(&mut seen, "ready after ");
        end(child);
        assert!(
            text.contains("INFO") && !text.contains('\x1b'),
            "{name}: {text}"
        );
    }
}

/// What a program shows of itself on a terminal of so many columns, and its end.
fn shown(shell: &Shell, args: &[&str], columns: u16) -> String {
    let (mut seen, screen) = terminal();
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&screen, size).unwrap();
    let mut child = shell.command(args).stdout(screen).spawn().unwrap();
    let (mut text, mut part) = (String::new(), [0; 4096]);
    // Until nobody has the other end any more.
    while let Ok(length) = seen.read(&mut part) {
        text += &String::from_utf8_lossy(&part[..length]);
    }
    assert!(child.wait().unwrap().success());
    text
}

#[test]
fn nothing_is_wider_than_the_terminal() {
    let shell = Shell::with(CONFIG).env("TERM", "xterm");
    for columns in [60, 80] {
        for args in [&["check"][..], &["simulate"]] {
            let text = shown(&shell, args, columns);
            let longest = text.lines().map(|line| line.chars().count()).max();
            assert!(longest > Some(usize::from(columns) / 2), "{text}");
            assert!(longest <= Some(usize::from(columns)), "{text}");
        }
    }
}

#[test]
fn a_pull_leaves_what_it_has_brought() {
    let (mut seen, screen) = terminal();
    let shell = Shell::new().env("TERM", "xterm").env("NO_COLOR", "1");
    let source = format!("http://{}/tiny/", serve_files());
    let pull = ["models", "pull", &source, "--cache-dir", "here"];
    let mut pull = shell.command(pull).stderr(screen).spawn().unwrap();
    let text = read_until(&mut seen, "is missing\r\n");
    assert!(pull.wait().unwrap().success());
    let json = shell.call(["models", "list", "--json", "--cache-dir", "here"]);
    let json = json.json();
    let name = json[0]["name"].as_str().unwrap();
    let left = text.rsplit("\x1b[J").next().unwrap();
    insta::assert_snapshot!(masked(left, &[(name, "NAME")]));
}
