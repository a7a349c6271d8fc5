//! The sim engine: what it is to pretend.

use std::collections::BTreeMap;
use std::time::Duration;

use preheat_api::config::{self, SimFaultKind};
use preheat_core::ShapeBucket;
use preheat_engine::sim::{FaultKind, SimFault};

use super::SettingsError;

/// The sim engine's declared behaviour, shape names read.
#[derive(Debug, Clone)]
pub struct SimSettings {
    pub declared: config::Sim,
    pub shapes: BTreeMap<ShapeBucket, Duration>,
    pub fault: Option<SimFault>,
}

pub(super) fn read(model: &config::Model) -> Result<SimSettings, SettingsError> {
    let shapes = model
        .sim
        .shapes
        .iter()
        .map(|(name, took)| Ok((shape(name)?, took.0)))
        .collect::<Result<_, SettingsError>>()?;
    Ok(SimSettings {
        shapes,
        fault: model.sim.fault.as_ref().map(|f| SimFault {
            kind: fault(f.kind),
            after_runs: f.after_runs,
        }),
        declared: model.sim.clone(),
    })
}

fn shape(name: &str) -> Result<ShapeBucket, SettingsError> {
    let parts = name
        .split_once('x')
        .and_then(|(b, t)| Some((b.parse().ok()?, t.parse().ok()?)));
    let bad = || {
        SettingsError::new(
            "model.sim.shapes",
            format!("{name:?} is not a shape"),
            "write rows x tokens, for example \"4x16\"",
        )
    };
    parts
        .map(|(batch, tokens)| ShapeBucket::new(batch, tokens))
        .ok_or_else(bad)
}

fn fault(kind: SimFaultKind) -> FaultKind {
    match kind {
        SimFaultKind::Load => FaultKind::Load,
        SimFaultKind::Run => FaultKind::Run,
        SimFaultKind::Hang => FaultKind::Hang,
        SimFaultKind::Nan => FaultKind::Nan,
        SimFaultKind::Rows => FaultKind::Rows,
        SimFaultKind::Dim => FaultKind::Dim,
        SimFaultKind::OutOfMemory => FaultKind::OutOfMemory,
        SimFaultKind::Drift => FaultKind::Drift,
        SimFaultKind::Mix => FaultKind::Mix,
    }
}
