//! Routes that no two services share.

use std::collections::HashSet;

use http::uri::{Authority, PathAndQuery};
use preheat_api::config::Route;

use super::{ServiceSettings, SettingsError, error};

const HOSTS: &str = "model.route.hosts";
const PREFIX: &str = "model.route.prefix";

/// # Errors
/// A host that is none, or a prefix that no path begins with.
pub fn checked(route: &Route) -> Result<Route, SettingsError> {
    if let Some(wrong) = route.hosts.iter().find(|host| !is_host(host)) {
        let remedy = "give a name or an address alone, without scheme, port or path";
        return Err(error(HOSTS, format!("{wrong:?} is not a host"), remedy));
    }
    let prefix = route.prefix.trim_end_matches('/');
    if !prefix.is_empty() && !is_path(prefix) {
        let remedy = "give a path from its first slash on, such as /search";
        let problem = format!("{:?} begins no path", route.prefix);
        return Err(error(PREFIX, problem, remedy));
    }
    Ok(Route {
        hosts: route.hosts.clone(),
        prefix: prefix.to_owned(),
    })
}

fn is_host(host: &str) -> bool {
    host.parse::<Authority>()
        .is_ok_and(|named| named.host() == host)
}

fn is_path(prefix: &str) -> bool {
    let path = prefix.parse::<PathAndQuery>();
    prefix.starts_with('/') && path.is_ok_and(|path| path.query().is_none() && path == *prefix)
}

/// # Errors
/// Two services whose requests nobody could tell apart.
pub fn distinct(services: &[ServiceSettings]) -> Result<(), SettingsError> {
    let mut seen = HashSet::new();
    let mut first = |host: String, prefix: &str| seen.insert((host, prefix.to_owned()));
    for service in services.iter().filter(|service| !service.route.is_open()) {
        let Route { hosts, prefix } = &service.route;
        let any = [String::new()];
        let hosts = if hosts.is_empty() { &any[..] } else { hosts };
        if !hosts
            .iter()
            .all(|host| first(host.to_ascii_lowercase(), prefix))
        {
            let problem = format!("{} has a route that another model has too", service.name);
            return Err(error("model.route", problem, "give each its own"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(hosts: &[&str], prefix: &str) -> Result<Route, SettingsError> {
        checked(&Route {
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            prefix: prefix.into(),
        })
    }

    #[test]
    fn what_is_no_host_or_path_is_told() {
        for host in ["", "a:8000", "http://a", "a/b", "user@a", "a b"] {
            assert_eq!(route(&[host], "").unwrap_err().key, HOSTS, "{host:?}");
        }
        for prefix in ["search", "/a?b", "/a#b", "/a b", "*"] {
            assert_eq!(route(&[], prefix).unwrap_err().key, PREFIX, "{prefix:?}");
        }
        let route = route(&["a.example", "127.0.0.1", "[::1]"], "/search/").unwrap();
        assert_eq!(route.prefix, "/search");
        assert_eq!(checked(&Route::default()).unwrap(), Route::default());
    }
}
