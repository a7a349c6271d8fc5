//! What one key says must go with what others say.

use std::collections::HashSet;
use std::path::Path;

use preheat_api::config::{self, Model};
use preheat_core::ReplicaId;

use super::{SettingsError, error, fixed_address};

/// Longest path of a unix socket, the smallest of all systems less its end mark.
const LONGEST_SOCKET: usize = 103;

pub fn fleet(fleet: &config::Fleet) -> Result<(), SettingsError> {
    let positive = |key, value: usize| match value {
        0 => Err(error(key, "must not be 0", "give a number above 0")),
        _ => Ok(()),
    };
    positive("fleet.max", fleet.max)?;
    positive("fleet.concurrency", fleet.concurrency)?;
    positive("fleet.hold_requests", fleet.hold_requests)?;
    if fleet.min > fleet.max {
        let problem = format!(
            "{} is more than fleet.max, which is {}",
            fleet.min, fleet.max
        );
        return Err(error(
            "fleet.min",
            problem,
            "raise fleet.max, or lower fleet.min",
        ));
    }
    Ok(())
}

/// A server that is started for each replica needs an address for each.
pub fn server(model: &Model, max: usize) -> Result<(), SettingsError> {
    let Some(url) = fixed_address(model).filter(|_| max > 1) else {
        return Ok(());
    };
    let problem = format!("up to {max} replicas would each start a server at {url}");
    let remedy =
        "write {port} into model.http.command and leave the address out, or set fleet.max to 1";
    Err(error("model.http.url", problem, remedy))
}

pub fn names(names: &[String]) -> Result<(), SettingsError> {
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(*name)) {
        None => Ok(()),
        Some(twice) => Err(error(
            "model.name",
            format!("two models are called {twice}"),
            "give each model a name of its own",
        )),
    }
}

/// A path that is too long shows only when a replica binds its sockets; it is told here.
pub fn dir(dir: &Path) -> Result<(), SettingsError> {
    let id = ReplicaId::new("r9999999");
    let longest = dir.join("99").join(id.as_str()).join("s:8000");
    if longest.as_os_str().len() > LONGEST_SOCKET {
        let problem = format!("{} is too long for unix sockets in it", dir.display());
        return Err(error("fleet.dir", problem, "give a shorter path"));
    }
    Ok(())
}
