//! What replicas are made from: one revision of a service.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use preheat_api::Config;
use preheat_api::config::{Auth, Drain, EngineKind, Fleet, Log, Model, Overrides, Server};
use preheat_api::service::RolloutRequest;
use preheat_core::Revision;
use serde_json::Value;

use crate::settings::{fixed_address, one_address, one_model};

/// Keys that name what is run, loaded as code or called. Whoever may change them may run anything.
const CODE: [&str; 6] = [
    "/cache/python",
    "/model/0/onnx/library",
    "/model/0/http/command",
    "/model/0/http/env",
    "/model/0/http/dir",
    "/model/0/http/url",
];

/// A configuration with one model, and the name of the revision that comes of it. Clones share it.
#[derive(Debug, Clone)]
pub struct Blueprint {
    pub revision: Revision,
    pub config: Arc<Config>,
}

impl Blueprint {
    #[must_use]
    pub fn new(config: Config) -> Self {
        Blueprint {
            revision: revision(&config),
            config: Arc::new(config),
        }
    }

    /// Where its model comes from, for people.
    #[must_use]
    pub fn source(&self) -> &str {
        self.config
            .model
            .first()
            .map_or("", |model| model.source.as_str())
    }

    /// The same for those who look at a rollout: a simulated model is not the one it is named after.
    #[must_use]
    pub fn described(&self) -> String {
        let is_simulated = |model: &Model| model.engine == EngineKind::Sim;
        if self.config.model.first().is_some_and(is_simulated) {
            format!("simulated ({})", self.source())
        } else {
            self.source().to_owned()
        }
    }

    /// The one address at which each of its replicas would start a server.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.config.model.first().and_then(fixed_address)
    }

    /// What a rollout asks for, on top of this. `max`: how many replicas there may be as things stand.
    ///
    /// # Errors
    /// What is wrong with the wish, and what to do.
    pub fn successor(
        &self,
        wish: &RolloutRequest,
        keyed: bool,
        max: usize,
    ) -> Result<Self, String> {
        let config = match (&wish.source, &wish.config) {
            (Some(source), None) => self.with_source(source),
            (None, Some(config)) => self.with_config(config)?,
            _ => return Err("give either a source or a configuration".into()),
        };
        if !keyed && let Some(key) = self.runs_other_code(&config) {
            return Err(format!(
                "{key} differs: what is run as code is changed by a rollout only where \
                 auth.admin_keys_file is set; or change the gateway's own configuration"
            ));
        }
        let next = Blueprint::new(config);
        if let Some(problem) = self.no_room_for(&next, max) {
            return Err(problem);
        }
        if next.revision == self.revision {
            return Err(format!(
                "the service serves this already: {}; files that were changed in place are no other \
                 revision: give them a place of their own",
                next.revision
            ));
        }
        Ok(next)
    }

    fn with_source(&self, source: &str) -> Config {
        let mut config = Config::clone(&self.config);
        for model in &mut config.model {
            source.clone_into(&mut model.source);
            // It was another file's.
            model.sha256.clear();
        }
        config
    }

    fn with_config(&self, given: &Config) -> Result<Config, String> {
        let name = self.config.model.first().map_or("", |m| m.name.as_str());
        let named = given.model.iter().find(|model| model.name == name);
        let model = match (named, given.model.as_slice()) {
            (Some(model), _) | (None, [model]) => model,
            (None, _) => return Err(format!("the configuration has no model called {name}")),
        };
        let mut config = given.clone();
        config.server = self.config.server.clone();
        config.auth = self.config.auth.clone();
        config.fleet = self.config.fleet.clone();
        // How many replicas there are is not the revision's to say.
        let model = Model {
            fleet: Overrides::default(),
            ..model.clone()
        };
        Ok(one_model(&config, &model, name))
    }

    /// Why the next revision's servers cannot be started at its one address: there are those of this one, or
    /// there may be several of its own, now or when the bounds are the configuration's again.
    fn no_room_for(&self, next: &Self, max: usize) -> Option<String> {
        let url = next.address()?;
        let max = max.max(self.config.fleet.max);
        let several = match (self.address() == Some(url), max > 1) {
            (false, false) => return None,
            (true, false) => "a rollout needs both revisions at once".to_owned(),
            (false, true) => format!("there may be {max}"),
            (true, true) => {
                format!("there may be {max} and a rollout needs both revisions at once")
            }
        };
        Some(one_address(url, &several))
    }

    fn runs_other_code(&self, other: &Config) -> Option<&'static str> {
        let tree = |config: &Config| serde_json::to_value(config).unwrap_or_default();
        let (own, other) = (tree(&self.config), tree(other));
        let differs = |key: &&str| said(&own, key) != said(&other, key);
        CODE.into_iter().find(|key| differs(key))
    }
}

/// A key that is not there says nothing, like one that is empty.
fn said<'a>(tree: &'a Value, key: &str) -> Option<&'a Value> {
    let empty = |value: &&Value| {
        value.is_null()
            || value.as_str() == Some("")
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty)
    };
    tree.pointer(key).filter(|value| !empty(value))
}

/// By everything that a replica is made from, this program included. What only the gateway reads,
/// or what says nothing about answers, makes no other revision.
fn revision(config: &Config) -> Revision {
    let mut config = config.clone();
    config.server = Server::default();
    config.auth = Auth::default();
    config.fleet = Fleet::default();
    config.drain = Drain::default();
    config.log = Log::default();
    let mut hasher = DefaultHasher::new();
    crate::VERSION.hash(&mut hasher);
    // This shape always serialises.
    serde_json::to_vec(&config)
        .unwrap_or_default()
        .hash(&mut hasher);
    Revision::new(format!("{:012x}", hasher.finish() >> 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blueprint() -> Blueprint {
        let model = Model {
            name: "m".into(),
            source: "old".into(),
            sha256: "0f".into(),
            ..Model::default()
        };
        Blueprint::new(one_model(&Config::default(), &model, "m"))
    }

    fn to(source: &str) -> RolloutRequest {
        RolloutRequest {
            source: Some(source.into()),
            ..RolloutRequest::default()
        }
    }

    fn to_config(change: impl FnOnce(&mut Config)) -> RolloutRequest {
        let mut config = Config::clone(&blueprint().config);
        change(&mut config);
        RolloutRequest {
            config: Some(Box::new(config)),
            ..RolloutRequest::default()
        }
    }

    #[test]
    fn another_source_is_another_revision_and_keeps_the_rest() {
        let next = blueprint().successor(&to("new"), false, 1).unwrap();
        assert_ne!(next.revision, blueprint().revision);
        assert_eq!(next.source(), "new");
        assert_eq!(next.described(), "new");
        let mut played = Config::clone(&next.config);
        played.model[0].engine = EngineKind::Sim;
        assert_eq!(Blueprint::new(played).described(), "simulated (new)");
        assert_eq!(next.config.model[0].name, "m");
        assert_eq!(next.config.model[0].sha256, "", "it was the old one's");
        assert_eq!(blueprint().revision, blueprint().revision);
    }

    #[test]
    fn what_only_a_gateway_reads_makes_no_revision() {
        for wish in [
            to("old"),
            to_config(|c| c.fleet.max = 9),
            to_config(|c| c.log.level = "debug".into()),
        ] {
            let same = blueprint().successor(&wish, false, 1);
            // The checksum goes with the source, whatever the source.
            assert_eq!(same.is_err(), wish.config.is_some(), "{wish:?}");
        }
        let other = to_config(|c| c.warmup.rounds = 7);
        assert!(blueprint().successor(&other, false, 1).is_ok());
    }

    #[test]
    fn whoever_has_no_key_changes_no_code() {
        let library = to_config(|c| c.model[0].onnx.library = "/tmp/mine.so".into());
        let refused = blueprint().successor(&library, false, 1).unwrap_err();
        assert!(refused.contains("/model/0/onnx/library"), "{refused}");
        assert!(blueprint().successor(&library, true, 1).is_ok());
        let python = to_config(|c| c.cache.python = "/tmp/python".into());
        assert!(blueprint().successor(&python, false, 1).is_err());
        let command = to_config(|c| c.model[0].http.command = vec!["sh".into()]);
        assert!(blueprint().successor(&command, false, 1).is_err());
        let env = to_config(|c| {
            let preload = ("LD_PRELOAD".to_owned(), "/tmp/mine.so".into());
            c.model[0].http.env.extend([preload]);
        });
        assert!(blueprint().successor(&env, false, 1).is_err());
    }

    /// Blue holds the address as long as it is kept.
    #[test]
    fn servers_of_one_address_are_not_rolled_out() {
        let at = |url: &str, max: usize| {
            let mut config = Config::default();
            config.fleet.max = max;
            let mut model = Model {
                name: "m".into(),
                engine: EngineKind::Http,
                ..Model::default()
            };
            model.http.command = vec!["x".into()];
            model.http.url = url.into();
            one_model(&config, &model, "m")
        };
        let (a, b) = ("http://127.0.0.1:8", "http://127.0.0.1:9");
        let (both, several) = ("both revisions at once", "there may be");
        for (blue, max, green, reasons) in [
            (at(a, 1), 1, at(a, 1), &[both][..]),
            (at(a, 1), 1, at(b, 1), &[]),
            (at(a, 1), 1, at("", 1), &[]),
            (at("", 6), 6, at(a, 1), &[several]),
            // More were asked for since; or fewer, until the gateway is started again.
            (at("", 1), 3, at(a, 1), &[several]),
            (at("", 6), 1, at(a, 1), &[several]),
            (at(a, 6), 1, at(a, 1), &[several, both]),
        ] {
            let mut green = green;
            green.warmup.rounds = 7;
            let wish = RolloutRequest {
                config: Some(Box::new(green)),
                ..RolloutRequest::default()
            };
            let next = Blueprint::new(blue).successor(&wish, true, max);
            assert_eq!(next.is_ok(), reasons.is_empty(), "{next:?}");
            if let Err(said) = next {
                assert!(said.contains("write {port}"), "{said}");
                let told = [several, both].map(|reason| said.contains(reason));
                let wanted = [several, both].map(|reason| reasons.contains(&reason));
                assert_eq!(told, wanted, "{said}");
            }
        }
    }

    #[test]
    fn a_wish_has_to_be_one() {
        let both = RolloutRequest {
            source: Some("new".into()),
            ..to_config(|_| ())
        };
        for wish in [both, RolloutRequest::default()] {
            assert!(blueprint().successor(&wish, true, 1).is_err());
        }
        let strangers = to_config(|c| {
            c.model = vec![Model::default(), Model::default()];
        });
        let refused = blueprint().successor(&strangers, true, 1).unwrap_err();
        assert!(refused.contains("no model called m"), "{refused}");
    }
}
