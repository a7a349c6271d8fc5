//! One reader who types what a page says: a folder, a shell, servers that end with the page.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use super::page::Ends;
use crate::replica::{free_addresses, model_folder, root};

/// What `timeout` ends with.
const TIMED_OUT: i32 = 124;
/// What `diagnose` ends with when it has found something, `probe` when a server is not warm.
const SOMETHING_FOUND: i32 = 1;
const NOT_PROVEN: i32 = 14;

pub struct Session {
    folder: TempDir,
    /// HTTP, gRPC, admin.
    addresses: [SocketAddr; 3],
    /// Pages name the default model; the tests have it in a folder.
    model: bool,
    servers: Vec<Child>,
}

impl Session {
    pub fn new(page: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        symlink(root().join("examples"), folder.path().join("examples")).unwrap();
        Session {
            folder,
            addresses: free_addresses(),
            model: !page.contains("engine = \"sim\""),
            servers: Vec::new(),
        }
    }

    /// The variable stands for the first model of a file alone; the others would be fetched.
    pub fn write(&self, name: &str, text: &str) {
        let here = format!("source = {:?}", model_folder());
        let text = text.replace("source = \"all-MiniLM-L6-v2\"", &here);
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub fn serve(&mut self, command: &str) {
        let log = File::create(self.folder.path().join("server.log")).unwrap();
        let mut shell = self.shell(&format!("exec {command}"));
        shell.stdout(log.try_clone().unwrap()).stderr(log);
        self.servers.push(shell.spawn().unwrap());
    }

    pub fn run(&self, page: &str, commands: &str, ends: Ends) {
        // A hang must end; a busy machine must not end anything.
        let bounded = format!(
            "exec timeout 180 bash -euo pipefail -c {}",
            quoted(commands)
        );
        let output = self.shell(&bounded).output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code();
        let as_told = match ends {
            Ends::Well => code == Some(0),
            Ends::Badly => !matches!(code, Some(0 | TIMED_OUT)),
            Ends::Either => matches!(code, Some(0 | SOMETHING_FOUND | NOT_PROVEN)),
        };
        assert!(
            as_told,
            "{page}: {commands}{}{}{}",
            said(&output.stdout),
            said(&output.stderr),
            fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default(),
        );
    }

    fn shell(&self, commands: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-c", &self.exchanged(commands)]);
        let binary = Path::new(env!("CARGO_BIN_EXE_preheat")).parent().unwrap();
        let path = format!(
            "{}:{}:{}",
            binary.display(),
            root().join("target/venv/bin").display(),
            std::env::var("PATH").unwrap()
        );
        let [http, grpc, admin] = self.addresses;
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("PREHEAT_HOST", http.ip().to_string())
            .env("PREHEAT_PORT", http.port().to_string())
            .env("PREHEAT_GRPC_PORT", grpc.port().to_string())
            .env("PREHEAT_ADMIN", admin.to_string())
            .env("PREHEAT_URL", format!("http://{http}"))
            .env("PREHEAT_DRAIN_DELAY", "0s")
            // What a network brings comes when it comes, and not in every place.
            .env("PREHEAT_OFFLINE", "true")
            .current_dir(self.folder.path())
            .process_group(0)
            .stdin(Stdio::null());
        if self.model {
            command.env("PREHEAT_MODEL", model_folder());
        }
        command
    }

    /// The addresses of the pages are the usual ones, which another program may hold here.
    fn exchanged(&self, commands: &str) -> String {
        let mut text = commands.to_owned();
        for (port, here) in ["8000", "8001", "8002"].iter().zip(self.addresses) {
            let flags = format!("--host {} --port {}", here.ip(), here.port());
            text = text.replace(&format!("--host 127.0.0.1 --port {port}"), &flags);
            for usual in ["localhost", "127.0.0.1"] {
                text = text.replace(&format!("{usual}:{port}"), &here.to_string());
            }
        }
        text
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl Drop for Session {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let group = Pid::from_child(server);
            let _ = kill_process_group(group, Signal::KILL);
            let _ = server.wait();
        }
    }
}
