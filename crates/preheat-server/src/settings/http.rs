//! `[model.http]` as written → as done.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use preheat_api::config::Model;

use super::{SettingsError, Surroundings};
use crate::exchange::{self, Exchange, Mistake, Spoken};

/// Stands for the port in a command.
const PORT: &str = "{port}";

/// Stands for a unix socket in its place.
const SOCKET: &str = "{socket}";

/// A server that is somebody else's.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Empty: it runs already.
    pub command: Vec<String>,
    pub keeper: Vec<OsString>,
    pub env: BTreeMap<String, String>,
    pub port_env: String,
    pub dir: Option<PathBuf>,
    pub run_dir: PathBuf,
    pub listens: Listens,
    /// Where it says whether it is ready; none: that it takes connections is enough.
    pub ready: Option<String>,
    pub start_timeout: Duration,
    pub stop_timeout: Duration,
    pub exchanges: Vec<Exchange>,
    pub spoken: Spoken,
}

/// Where it takes connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listens {
    /// On loopback, at a port that it is given.
    GivenPort,
    /// At a socket that it is given.
    GivenSocket,
    /// `host:port` of its own.
    At(String),
    AtSocket(PathBuf),
}

impl HttpSettings {
    /// The command with its placeholders filled in.
    #[must_use]
    pub fn command_with(&self, port: Option<u16>, socket: Option<&str>) -> Vec<String> {
        let port = port.map(|port| port.to_string()).unwrap_or_default();
        let socket = socket.unwrap_or_default();
        let fill = |word: &String| word.replace(PORT, &port).replace(SOCKET, socket);
        self.command.iter().map(fill).collect()
    }
}

pub(super) fn read(
    model: &Model,
    name: &str,
    around: &Surroundings,
) -> Result<HttpSettings, SettingsError> {
    let http = &model.http;
    let mut exchanges = exchange::resolve(&model.warmup.case)
        .map_err(|mistake| of_mistake("model.warmup.case", mistake))?;
    if exchanges.is_empty() {
        exchanges = exchange::default_cases();
    }
    if let Some(twice) = twice(&exchanges) {
        let problem = format!("{twice} stands twice");
        let remedy = "give each case a name of its own";
        return Err(SettingsError::new("model.warmup.case", problem, remedy));
    }
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Ok(HttpSettings {
        listens: listens(&http.url, &http.command)?,
        command: http.command.clone(),
        keeper: around.keeper.clone(),
        env: http.env.clone(),
        port_env: http.port_env.clone(),
        dir: text(&http.dir).map(PathBuf::from),
        run_dir: around.run_dir.clone(),
        ready: path("model.http.ready", &http.ready)?,
        start_timeout: http.start_timeout.0,
        stop_timeout: http.stop_timeout.0,
        exchanges,
        spoken: Spoken {
            preset: exchange::preset(&http.preset)
                .map_err(|mistake| of_mistake("model.http.preset", mistake))?,
            path: path("model.http.path", &http.path)?,
            model: name.to_owned(),
        },
    })
}

fn listens(url: &str, command: &[String]) -> Result<Listens, SettingsError> {
    let wrong = |problem: String| {
        let remedy = "write it like http://127.0.0.1:9000 or unix:/run/server.sock";
        Err(SettingsError::new("model.http.url", problem, remedy))
    };
    if let Some(path) = url.strip_prefix("unix:") {
        return Ok(Listens::AtSocket(path.into()));
    }
    match url {
        "" if command.is_empty() => Err(SettingsError::new(
            "model.http.command",
            "there is neither a command nor an address",
            "give the command that starts the server (preheat wrap -- COMMAND), or model.http.url",
        )),
        "" if command.iter().any(|word| word.contains(SOCKET)) => Ok(Listens::GivenSocket),
        "" => Ok(Listens::GivenPort),
        url => {
            let place = url.strip_prefix("http://").unwrap_or(url);
            let place = place.trim_end_matches('/');
            match place.rsplit_once(':') {
                _ if place.contains('/') => wrong(format!("{url} is not the address of a server")),
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                    Ok(Listens::At(place.to_owned()))
                }
                _ => wrong(format!("{url} has no port")),
            }
        }
    }
}

fn path(key: &str, path: &str) -> Result<Option<String>, SettingsError> {
    match path {
        "" => Ok(None),
        path if path.starts_with('/') => Ok(Some(path.to_owned())),
        other => Err(SettingsError::new(
            key,
            format!("{other} is no path"),
            "begin it with /",
        )),
    }
}

fn twice(exchanges: &[Exchange]) -> Option<&str> {
    let mut names = std::collections::HashSet::new();
    let mut all = exchanges.iter().map(|exchange| exchange.name.as_str());
    all.find(|name| !names.insert(*name))
}

fn of_mistake(key: &str, mistake: Mistake) -> SettingsError {
    SettingsError::new(key, mistake.problem, mistake.remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_where_it_listens() {
        let words =
            |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        for (url, command, found) in [
            ("", "serve --port {port}", Some(Listens::GivenPort)),
            ("", "serve", Some(Listens::GivenPort)),
            ("", "serve --uds {socket}", Some(Listens::GivenSocket)),
            (
                "http://localhost:9/",
                "",
                Some(Listens::At("localhost:9".into())),
            ),
            (
                "127.0.0.1:9",
                "serve",
                Some(Listens::At("127.0.0.1:9".into())),
            ),
            ("unix:/run/s", "", Some(Listens::AtSocket("/run/s".into()))),
            ("", "", None),
            ("http://localhost", "", None),
            ("https://localhost:1", "", None),
            ("http://localhost:1/path", "", None),
        ] {
            assert_eq!(listens(url, &words(command)).ok(), found, "{url} {command}");
        }
    }
}
