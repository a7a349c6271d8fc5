//! A fleet to simulate, small enough for many of them.

use std::time::Duration;

use preheat_core::{PhaseGroup, Slo};
use preheat_sim::{
    Arrivals, ColdRuns, Failures, FleetModel, Part, ReplicaModel, Scenario, Service, Shape,
    StageTime, Traffic,
};

pub(crate) fn secs(secs: f64) -> Duration {
    Duration::from_secs_f64(secs)
}

pub(crate) fn part(name: &str, seconds: f64, shape: Shape) -> Part {
    Part {
        name: name.to_owned(),
        lasts: secs(seconds),
        shape,
        arrivals: Arrivals::Poisson,
    }
}

pub(crate) fn scenario(parts: Vec<Part>) -> Scenario {
    let stage = |name: &str, takes, group| StageTime {
        name: name.to_owned(),
        takes: secs(takes),
        group,
    };
    Scenario {
        name: "small".to_owned(),
        traffic: Traffic { parts },
        replica: ReplicaModel {
            stages: vec![
                stage("image", 4.0, PhaseGroup::Cold),
                stage("weights", 3.0, PhaseGroup::Loading),
            ],
            warm: None,
            concurrency: 4,
            service: Service::of(secs(0.08)),
            cold: ColdRuns {
                shapes: 5,
                first_run: secs(0.6),
                covered: 1.0,
            },
            memory: 1_000_000_000,
        },
        fleet: FleetModel::default(),
        failures: Failures::default(),
        slo: Slo::p95(secs(0.2)),
        patience: secs(60.0),
    }
}
