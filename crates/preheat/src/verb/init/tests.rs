//! Figures follow what was measured; files have nothing left to fill in.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn figures(start_s: f64, peak_bytes: u64) -> Figures {
    Figures {
        start_s: Some(start_s),
        peak_bytes: Some(peak_bytes),
        steady_ms: Some(8.0),
        ..Figures::default()
    }
}

fn names() -> Names {
    Names::checked(
        "embedder",
        "registry.example/embedder:1",
        "/models/embedder",
    )
    .unwrap()
}

proptest! {
    #[test]
    fn the_startup_window_is_three_starts_and_grows_with_them(start in 0.01_f64..20_000.0, more in 0.0_f64..1_000.0) {
        let window = |start: f64| 2.0 * figures(start, 1).startup_threshold() as f64;
        prop_assert!(window(start) >= 3.0 * start && window(start) < (3.0 * start + 2.0 + 1e-6).max(11.0));
        prop_assert!(window(start + more) >= window(start));
    }

    /// The first probe comes at once: what is left of the window must hold the start.
    #[test]
    fn a_start_outlives_the_probes_that_come_before_its_end(start in 0.01_f64..20_000.0) {
        let left = 2.0 * (figures(start, 1).startup_threshold() - 1) as f64;
        prop_assert!(left > start, "{left}");
    }

    #[test]
    fn the_peak_takes_at_most_four_fifths_of_what_is_asked_for(peak in 1_u64..(1 << 42)) {
        let asked = (figures(1.0, peak).memory_mi() << 20) as f64;
        let most = (figures(1.0, peak).memory_limit_mi() << 20) as f64;
        prop_assert!(1.25 * peak as f64 <= 0.8 * most + 1.0);
        prop_assert!(peak as f64 <= 0.8 * asked + 1.0 && peak as f64 > 0.8 * (asked - 1048577.0));
    }
}

/// The first start on a node packs what the measured one found packed: 204 MB where 68.8 MB were
/// measured, with weights of 90.9 MB.
#[test]
fn a_start_that_packs_weights_fits_into_the_limit() {
    let figures = Figures {
        weights_bytes: Some(90_868_376),
        ..figures(0.25, 68_833_280)
    };
    assert_eq!(figures.memory_mi(), 83);
    assert!((figures.memory_limit_mi() << 20) as f64 * 0.8 > 204_296_192.0);
}

/// Users come when they come; the replica was ready before.
#[test]
fn the_first_users_request_is_no_part_of_the_start() {
    let stage = |stage: &str, start_ms: f64, ms: f64| json!({ "stage": stage, "start_ms": start_ms, "ms": ms });
    let report = |phase: &str| {
        let text = include_str!("../../../../../deploy/report.json");
        let mut report: Value = serde_json::from_str(text).unwrap();
        report["models"][0]["phase"] = json!(phase);
        report["models"][0]["waterfall"] = json!([
            stage("weights", 4.0, 500.0),
            stage("prove", 504.0, 246.0),
            stage("first_request", 157_000.0, 2.0),
        ]);
        serde_json::from_value(report).unwrap()
    };
    assert_eq!(Figures::of(&[report("ready")]).start_s, Some(0.75));
    assert_eq!(Figures::of(&[report("proving")]).start_s, None);
}

#[test]
fn nothing_is_left_to_fill_in() {
    let absurd = figures(1e300, u64::MAX);
    for figures in [figures(3.2, 400 << 20), Figures::default(), absurd] {
        for (path, text) in files(&names(), &figures) {
            let left = text
                .split('@')
                .nth(1)
                .filter(|word| !word.contains([' ', '\n']));
            assert_eq!(left, None, "{path}");
        }
    }
}

/// `on`, `null` and `true` are names for a cluster, and words of YAML.
#[test]
fn names_stay_names() {
    for name in ["null", "true"] {
        let names = Names::checked(name, "i", "m").unwrap();
        for (path, text) in files(&names, &figures(1.0, 1 << 20)) {
            let bare = [format!("name: {name}"), "name: {{".to_owned()];
            assert!(
                !bare.iter().any(|bare| text.contains(bare)),
                "{path}: {text}"
            );
            if path.ends_with(".yaml") && !path.contains("templates") {
                let file: Value = serde_yaml_ng::from_str(&text).unwrap();
                let metadata = file.get("metadata");
                assert!(
                    metadata.is_none_or(|of| of["name"] == name),
                    "{path}: {text}"
                );
                let services = file.get("services");
                assert!(
                    services.is_none_or(|all| all[name].is_object()),
                    "{path}: {text}"
                );
            }
        }
    }
}

/// Two who say how many there are take it back from each other.
#[test]
fn the_autoscaler_alone_says_how_many_there_are() {
    for (path, text) in files(&names(), &figures(1.0, 1 << 20)) {
        assert!(!text.contains(" replicas:"), "{path}: {text}");
        let is_scaler = path.ends_with("autoscaler.yaml");
        assert_eq!(
            is_scaler,
            text.contains("maxReplicas: 6") && !path.contains("kserve"),
            "{path}"
        );
    }
}

#[test]
fn what_the_files_do_not_hold_is_said() {
    let report = |engine: &str, simulated: bool| {
        let text = include_str!("../../../../../deploy/report.json");
        let mut report: Value = serde_json::from_str(text).unwrap();
        report["models"][0]["engine"]["name"] = json!(engine);
        report["models"][0]["engine"]["simulated"] = json!(simulated);
        serde_json::from_value::<ReadinessReport>(report).unwrap()
    };
    assert!(notes::of(&[report("native-avx2", false), report("onnx-cpu", false)]).is_empty());
    for (engine, simulated, said) in [
        ("http", false, "a wrapped server"),
        ("onnx-cuda", false, "ONNX Runtime"),
        ("sim", true, "no measurement"),
    ] {
        let notes = notes::of(&[report(engine, simulated), report(engine, simulated)]);
        assert!(notes.len() == 1 && notes[0].contains(said), "{notes:?}");
    }
}

/// An image without it would compute on another engine than the one that was measured.
#[test]
fn an_image_of_an_onnx_model_holds_the_library_that_was_measured() {
    let text = include_str!("../../../../../deploy/report.json");
    let image = |engine: &str| {
        let mut report: serde_json::Value = serde_json::from_str(text).unwrap();
        report["models"][0]["engine"]["name"] = json!(engine);
        let figures = Figures::of(&[serde_json::from_value(report).unwrap()]);
        let files = files(&names(), &figures);
        let dockerfile = files.iter().find(|(path, _)| *path == "Dockerfile");
        dockerfile.unwrap().1.clone()
    };
    let onnx = image("onnx-cpu");
    let place = |word: &str| {
        onnx.find(word)
            .unwrap_or_else(|| panic!("no {word}: {onnx}"))
    };
    assert!(place("models pull /model") < place("COPY --from=library /cache/runtime/"));
    assert!(place("COPY --from=library") < place("ENV ORT_DYLIB_PATH=/usr/local/lib/"));
    assert!(onnx.contains("model.onnx"), "{onnx}");
    for other in ["native-cpu", "rten-cpu", "onnx-cuda"] {
        let plain = image(other);
        assert!(!plain.contains("library"), "{plain}");
        assert!(plain.contains("model.safetensors"), "{plain}");
    }
}

#[test]
fn names_that_would_break_a_file_are_refused() {
    for (name, image, model) in [
        ("Up", "i", "m"),
        ("a b", "i", "m"),
        ("a", "i\"", "m"),
        ("a", "i", "m\nx"),
        ("", "i", "m"),
        ("a-", "i", "m"),
    ] {
        assert!(
            Names::checked(name, image, model).is_err(),
            "{name} {image} {model}"
        );
    }
}
