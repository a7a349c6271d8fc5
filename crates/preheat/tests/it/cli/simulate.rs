//! Fleets in simulated time, from the command line.

use super::{Called, Shell};
use crate::replica::{SIM, Start};

const SMALL: &str = "name = \"small\"\n[[traffic]]\nrate = 20\nfor = \"10s\"\n";

fn small() -> Shell {
    let shell = Shell::new();
    shell.write("small.toml", SMALL);
    shell
}

#[test]
fn the_same_seed_prints_the_same_and_another_does_not() {
    let seeded = |seed: &str| small().call(["simulate", "small.toml", "--json", "--seed", seed]);
    let (one, again, other) = (seeded("7"), seeded("7"), seeded("8"));
    assert_eq!((one.code, one.stderr.as_str()), (0, ""));
    assert_eq!(one.stdout, again.stdout);
    assert_ne!(one.stdout, other.stdout);
    let json = one.json();
    assert_eq!(json["runs"][0]["strategy"], "unprotected");
    assert_eq!(json["runs"][1]["strategy"], "preheat");
    assert_eq!(json["runs"][1]["whole"]["cold"], 0);
    let series = json["runs"][1]["series"].as_array().unwrap();
    assert!(
        series
            .iter()
            .all(|point| point["active"].is_u64() && point["p95_ms"].is_number())
    );
}

#[test]
fn a_report_is_one_file_and_standard_output_stays_data() {
    let shell = small();
    let called = shell.call([
        "simulate",
        "small.toml",
        "--json",
        "--plan",
        "--report",
        "out.html",
    ]);
    assert_eq!(
        (called.code, called.stderr.as_str()),
        (0, "report: out.html\n")
    );
    assert!(called.json()["plan"]["spares"].as_array().unwrap().len() > 2);
    let page = std::fs::read_to_string(shell.path().join("out.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("</svg>"));
}

#[test]
fn a_mistake_in_a_scenario_is_a_mistake_of_configuration() {
    let shell = small();
    shell.write("wrong.toml", "[fleet]\nmaxx = 1\n");
    for (file, want) in [
        ("wrong.toml", "unknown field `maxx`"),
        ("nowhere.toml", "nowhere.toml cannot be read"),
    ] {
        let Called {
            code,
            stdout,
            stderr,
        } = shell.call(["simulate", file]);
        assert_eq!((code, stdout.as_str()), (10, ""));
        assert!(stderr.contains(want), "{stderr}");
    }
}

/// What a replica measured of itself becomes the replica of a scenario.
#[tokio::test]
async fn a_measured_start_can_be_played() {
    let replica = Start::with(SIM).ready().await;
    let report = replica.get("/ready").await.text();
    let shell = small();
    shell.write("ready.json", &report);
    let args = ["simulate", "small.toml", "--json", "--from", "ready.json"];
    let called = tokio::task::spawn_blocking(move || shell.call(args));
    let json = called.await.unwrap().json();
    let (load, warm) = (&json["load_seconds"], &json["start_seconds"]);
    assert!(
        load.as_f64() > Some(0.0) && warm.as_f64() > load.as_f64(),
        "{load} {warm}"
    );
}
