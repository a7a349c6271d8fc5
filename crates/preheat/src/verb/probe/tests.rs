//! What comes of figures, without a server.

use std::time::Duration;

use preheat_api::exchange::{Fill, candidates, fill, rows};
use preheat_server::exchange::{Exchange, default_cases};

use super::measure::{CaseMeasured, Measured, Outcome, median_interval};
use super::*;
use serde_json::json;

fn case(name: &str, first: f64, outcome: Outcome) -> CaseMeasured {
    CaseMeasured {
        name: name.into(),
        preset: "preheat",
        path: "/embed".into(),
        first_ms: Some(first),
        steady_ms: Some(20.0),
        slowest_ms: Some(26.0),
        ratio: Some(first / 20.0),
        ratio_interval: Some((first / 25.0, first / 18.0)),
        fresh_ms: Some(21.0),
        requests: 26,
        outcome,
        problem: (outcome != Outcome::Warm).then(|| "status 500 <&\">".into()),
    }
}

fn measured() -> Measured {
    Measured {
        server: "http://127.0.0.1:8000".into(),
        cases: vec![
            case("short", 2021.4, Outcome::Warm),
            case("long", 22.0, Outcome::Warm),
            case("b\"x", 20.0, Outcome::Failed),
        ],
        requests: 78,
        took: Duration::from_millis(4321),
        timed_out: false,
    }
}

#[test]
fn results_are_shown_in_four_ways() {
    insta::assert_snapshot!("text", show::as_text(&measured(), None));
    for width in [60, 80, 120] {
        let name = format!("text_in_{width}_columns");
        insta::assert_snapshot!(name, show::as_text(&measured(), Some(width)));
    }
    insta::assert_snapshot!("prometheus", show::as_prometheus(&measured()));
    insta::assert_snapshot!("junit", show::as_junit(&measured()));
    let json = show::as_json(&measured());
    assert_eq!(json["cases"][0]["ratio"], json!(101.07));
    assert_eq!(
        (&json["cases"][0]["was_cold"], &json["cases"][1]["was_cold"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&json["was_cold"], &json["warm"]),
        (&json!(true), &json!(false))
    );
}

#[test]
fn the_worst_outcome_decides_the_exit_code() {
    let mut measured = measured();
    assert_eq!(code(&measured), 13);
    measured.cases.pop();
    assert_eq!(code(&measured), 0);
    measured.cases.push(case("x", 20.0, Outcome::SlowWhenFresh));
    assert_eq!(code(&measured), 14);
    measured.timed_out = true;
    assert_eq!(code(&measured), 18);
}

#[test]
fn the_median_lies_within_its_interval() {
    let times: Vec<f64> = (1..=100).map(f64::from).collect();
    let (low, median, high) = median_interval(&times).unwrap();
    assert_eq!((low, median, high), (41.0, 51.0, 61.0));
    assert_eq!(median_interval(&[]), None);
    assert_eq!(median_interval(&[3.0]), Some((3.0, 3.0, 3.0)));
}

/// Also where one is called as another would be.
#[test]
fn no_two_cases_have_one_name() {
    let case = default_cases().swap_remove(0);
    let named = |name: &str| Exchange {
        name: name.to_owned(),
        ..case.clone()
    };
    let mut cases = ["x", "y", "x", "x (2)", "x"].map(named);
    plan::tell_apart(&mut cases);
    let names = cases.map(|case| case.name);
    assert_eq!(names, ["x", "y", "x (2)", "x (2) (2)", "x (3)"]);
}

#[test]
fn paths_tell_the_preset_and_templates_are_filled() {
    let first = |path| candidates(None, Some(path))[0].clone();
    let texts = ["a \"{{model}}\"".to_owned(), "b".to_owned()];
    let with = Fill {
        texts: &texts,
        model: "m",
    };
    assert_eq!(
        fill(&first("/v1/embeddings").body, with),
        json!({ "model": "m", "input": texts })
    );
    assert_eq!(
        fill(&first("/v2/models/m/infer").body, with)["inputs"][0]["shape"],
        json!([2])
    );
    assert_eq!(fill(&first("/embed").body, with), json!(texts));
    let chat = fill(&first("/v1/chat/completions").body, with);
    assert_eq!(chat["messages"][0]["content"], json!(texts[0]));
    assert_eq!(candidates(Some("tei"), None)[0].path, "/embed");
    assert_eq!(
        split("http://h:1/v1/embeddings"),
        ("http://h:1".into(), Some("/v1/embeddings".into()))
    );
    assert_eq!(split("h:1/"), ("h:1".into(), None));
    let answer = json!({ "data": [{ "embedding": [1, 2] }] });
    assert_eq!(rows(&answer), Some(vec![&json!([1, 2])]));
    assert_eq!(rows(&json!([[1], [2]])).map(|rows| rows.len()), Some(2));
}
