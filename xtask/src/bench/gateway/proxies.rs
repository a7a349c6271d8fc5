//! Other programs in the gateway's place: nginx and haproxy as plain reverse proxies before the same
//! replica.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::bench::client::{self, Client};

const PATIENCE: Duration = Duration::from_secs(10);

/// A proxy that runs until dropped.
pub(super) struct Proxy {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    child: Child,
}

/// Those that this machine has, and what it lacks.
pub(super) fn all(folder: &Path, replica: &Path) -> Result<(Vec<Proxy>, Vec<&'static str>)> {
    // Neither of them likes a colon in a path.
    let socket = folder.join("replica.sock");
    std::os::unix::fs::symlink(replica, &socket)?;
    let (mut proxies, mut lacks) = (Vec::new(), Vec::new());
    for (name, configured) in [
        ("nginx", nginx as fn(&Path, &Path, SocketAddr) -> String),
        ("haproxy", haproxy),
    ] {
        if !is_there(name) {
            lacks.push(name);
            continue;
        }
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let file = folder.join(format!("{name}.conf"));
        fs::write(&file, configured(folder, &socket, address))?;
        let mut command = Command::new(name);
        match name {
            "nginx" => command.arg("-e").arg(folder.join("nginx.log")).arg("-c"),
            _ => command.arg("-db").arg("-f"),
        };
        let log = fs::File::create(folder.join(format!("{name}.out")))?;
        command
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command.spawn().context(name)?;
        let proxy = Proxy {
            name,
            address,
            child,
        };
        proxy.wait().with_context(|| {
            let said = fs::read_to_string(folder.join(format!("{name}.out")));
            format!("{name}: {}", said.unwrap_or_default())
        })?;
        proxies.push(proxy);
    }
    Ok((proxies, lacks))
}

impl Proxy {
    fn wait(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let asked = || -> Option<f64> {
            let mut client = Client::connect(self.address).ok()?;
            client.time(&client::get("/v2")).ok()
        };
        while asked().is_none() {
            ensure!(Instant::now() < deadline, "it does not answer");
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = crate::bench::fleet::signal(self.child.id(), rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn is_there(name: &str) -> bool {
    let mut asked = Command::new(name);
    asked.arg("-v").stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok()
}

fn nginx(folder: &Path, socket: &Path, at: SocketAddr) -> String {
    let (folder, socket) = (folder.display(), socket.display());
    // Its workers would be somebody else, who may not reach the replica's socket.
    let user = match rustix::process::geteuid().is_root() {
        true => "user root;\n",
        false => "",
    };
    format!(
        "{user}daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  upstream replica {{
    server unix:{socket};
    keepalive 64;
    keepalive_requests 1000000;
  }}
  server {{
    listen {at};
    location / {{
      proxy_pass http://replica;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
    }}
  }}
}}
"
    )
}

fn haproxy(_: &Path, socket: &Path, at: SocketAddr) -> String {
    let socket = socket.display();
    format!(
        "global
  maxconn 1024
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend door
  bind {at}
  default_backend replicas
backend replicas
  server replica unix@{socket}
"
    )
}
