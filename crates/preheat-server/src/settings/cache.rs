//! What lies in the cache, and how models come into it.

use std::path::{Path, PathBuf};

use preheat_api::config::Config;
use preheat_api::floor::MachineFloor;
use preheat_engine::source::FetchOptions;
use preheat_runtime::file;

use super::Surroundings;

pub(super) fn fetch(config: &Config, cache: PathBuf, around: &Surroundings) -> FetchOptions {
    let mut options = FetchOptions::new(cache);
    options.offline = config.cache.offline || around.hf_offline;
    if let Some(endpoint) = &around.hf_endpoint {
        options.hf_endpoint.clone_from(endpoint);
    }
    options.hf_token.clone_from(&around.hf_token);
    options.hf_home.clone_from(&around.hf_home);
    if !config.cache.python.is_empty() {
        options.python = PathBuf::from(&config.cache.python);
    }
    options.bucket_options.clone_from(&around.store);
    let own = config
        .cache
        .store
        .iter()
        .map(|(k, v)| (k.clone(), v.clone()));
    options.bucket_options.extend(own);
    options
}

/// A few figures.
const FLOOR_MB: u64 = 1;

/// As `preheat floor` left it, if it was on such a machine.
pub(super) fn floor(cache: &Path) -> Option<MachineFloor> {
    let text = file::read(&cache.join(preheat_api::floor::FILE), FLOOR_MB).ok()?;
    let floor: MachineFloor = serde_json::from_slice(&text).ok()?;
    (floor.cpu == preheat_engine::floor::this_cpu()).then_some(floor)
}
