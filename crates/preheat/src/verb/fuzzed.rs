//! Readers of users' files as the fuzzer calls them: what comes of a file is of no interest.

use std::fs;
use std::path::Path;

use preheat_api::config::{CaseConfig, Model};
use preheat_api::embed::EmbedBody;
use preheat_api::oip::InferRequest;
use preheat_api::openai::EmbeddingsRequest;
use preheat_api::service::{RolloutRequest, ScaleRequest, VerifyRequest};
use preheat_api::state::{ReplicaState, ServiceState};
use preheat_api::{Config, tei};
use preheat_core::{Element, TensorSpec};
use preheat_diagnosis::Diagnosis;
use preheat_engine::picture::{PictureSpec, Pictures};
use preheat_engine::source;
use preheat_runtime::keys::Keys;
use preheat_runtime::tls::{self, TlsFiles};
use preheat_server::exchange;
use preheat_sim::Strategy;
use serde::de::DeserializeOwned;
use serde_json::from_slice;

use super::{diagnose, init, plan, probe, process, simulate};
use crate::cli::ProbeArgs;
use crate::config::Effective;

pub fn configured(effective: &Effective) {
    let _ = process::settings(&effective.config);
}

pub fn plan(args: &ProbeArgs) {
    if let Ok(plan) = probe::plan::read(args, None) {
        let templates = plan.cases.iter().map(|case| case.templates(&plan.spoken));
        let _: Vec<_> = templates.collect();
    }
}

pub fn scenario(path: &Path) {
    let Ok(text) = simulate::read(path) else {
        return;
    };
    let Ok(file) = simulate::scenario::parse(&text, "input") else {
        return;
    };
    let _ = simulate::scenario::resolve(&file, None);
    let _: Result<Vec<Strategy>, _> = simulate::scenario::strategies(&file);
}

pub fn measured(path: &Path) {
    if let Ok(text) = simulate::read(path) {
        let _ = simulate::from::report(&text, "input")
            .and_then(|report| simulate::from::replica(&report, "input"));
    }
}

pub fn deployed(path: &Path) {
    if let Ok(report) = init::report(&path.to_string_lossy(), None) {
        let _ = init::figures::Figures::of(&[report]).summary();
    }
}

pub fn diagnosed(path: &Path) {
    let mut diagnosis = Diagnosis::new();
    if diagnose::read(&path.to_string_lossy(), &mut diagnosis).is_ok() {
        let _ = diagnose::show::as_text(&diagnosis.report());
    }
}

/// A file of requests: as traffic, as the plan of a foreign server, as the plan of a model of ours.
pub fn recorded(path: &Path) {
    let path = path.to_string_lossy().into_owned();
    let _ = plan::traffic::file(&path, &mut 0, &mut drop);
    let case = CaseConfig {
        file: Some(path),
        ..CaseConfig::default()
    };
    let _ = exchange::resolve(std::slice::from_ref(&case));
    let mut model = Model::default();
    model.warmup.case = vec![case];
    let _ = process::settings(&Config {
        model: vec![model],
        ..Config::default()
    });
}

/// A body in every form that the front doors take.
pub fn requested(path: &Path) {
    let body = fs::read(path).unwrap();
    if let Ok(json) = from_slice(&body) {
        let _ = exchange::texts(json);
    }
    is_one::<EmbedBody>(&body);
    is_one::<EmbeddingsRequest>(&body);
    is_one::<tei::PredictRequest>(&body);
    is_one::<tei::RerankRequest>(&body);
    is_one::<tei::TokenizeRequest>(&body);
    is_one::<InferRequest>(&body);
}

/// What may be asked of a gateway; the new revision of a rollout is resolved, too.
pub fn ordered(path: &Path) {
    let body = fs::read(path).unwrap();
    is_one::<ScaleRequest>(&body);
    is_one::<VerifyRequest>(&body);
    if let Ok(RolloutRequest {
        config: Some(config),
        ..
    }) = from_slice(&body)
    {
        let _ = process::settings(&config);
    }
}

/// A service and a replica as a gateway wrote them down for the next one.
pub fn resumed(path: &Path) {
    let body = fs::read(path).unwrap();
    is_one::<ReplicaState>(&body);
    if let Ok(state) = from_slice::<ServiceState>(&body) {
        let rollout = state.rollout.iter().flat_map(|r| [&r.from, &r.to]);
        for config in rollout.chain([&state.serving]) {
            let _ = process::settings(config);
        }
    }
}

/// The manifest of a model in the cache.
pub fn cached(path: &Path) {
    let cache = path.with_extension("cache");
    let dir = cache.join("models/one");
    fs::create_dir_all(&dir).unwrap();
    fs::copy(path, dir.join("manifest.json")).unwrap();
    for model in source::list(&cache).unwrap() {
        let _ = source::verify(&model.dir);
    }
}

fn is_one<T: DeserializeOwned>(body: &[u8]) {
    let _ = from_slice::<T>(body);
}

pub fn pictured(path: &Path) {
    let spec = PictureSpec {
        max_pixels: 1 << 16,
        crop: true,
        bgr: false,
        scale: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    let input = TensorSpec {
        name: "x".into(),
        element: Element::F32,
        shape: Some(vec![None, Some(3), Some(16), Some(16)]),
    };
    let pictures = Pictures::new(spec, &[input]).expect("that is the shape of an image");
    let _ = pictures.read(&fs::read(path).unwrap());
}

pub fn keyed(path: &Path) {
    if let Ok(keys) = Keys::read(&path.to_string_lossy()) {
        let _ = keys.admit(b"one");
    }
}

pub fn certified(path: &Path) {
    for client_ca in [None, Some(path.to_owned())] {
        let (cert, key) = (path.to_owned(), path.to_owned());
        let _ = tls::load(&TlsFiles {
            cert,
            key,
            client_ca,
        });
    }
}
