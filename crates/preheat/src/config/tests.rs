use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Command, FromArgMatches};

use super::*;

fn flags(args: &[&str]) -> Flags {
    use clap::Args;
    let command = Flags::augment_args(Command::new("test").no_binary_name(true));
    Flags::from_arg_matches(&command.get_matches_from(args)).unwrap()
}

fn file(name: &str, text: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("preheat-config-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn env(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    let map: HashMap<String, String> = pairs
        .iter()
        .map(|&(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    move |name| map.get(name).cloned()
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let path = file(
        "order.toml",
        "[server]\nport = 1\ngrpc_port = 1\nmax_connections = 1\n",
    );
    let env = env(&[
        ("PREHEAT_PORT", "2"),
        ("PREHEAT_GRPC_PORT", "2"),
        ("SKIP_WARMUP", "true"),
    ]);
    let effective = resolve(Some(&path), None, &flags(&["--port", "3"]), env).unwrap();
    let server = &effective.config.server;
    assert_eq!(
        (server.port, server.grpc_port, server.max_connections),
        (3, 2, 1)
    );
    assert_eq!(server.host, "127.0.0.1");
    assert!(effective.config.warmup.skip);
    let origin = |key: &str| effective.origins.get(key).map(ToString::to_string);
    assert_eq!(origin("server.port").unwrap(), "--port");
    assert_eq!(origin("server.grpc_port").unwrap(), "$PREHEAT_GRPC_PORT");
    assert_eq!(
        origin("server.max_connections").unwrap(),
        path.display().to_string()
    );
    assert_eq!(origin("server.host"), None);
}

#[test]
fn the_three_syntaxes_mean_the_same() {
    let toml = file(
        "same.toml",
        "[[model]]\nname = \"m\"\n[limits]\nqueue = 7\n",
    );
    let yaml = file("same.yaml", "model:\n  - name: m\nlimits:\n  queue: 7\n");
    let json = file(
        "same.json",
        r#"{"model":[{"name":"m"}],"limits":{"queue":7}}"#,
    );
    let read = |path: &PathBuf| {
        resolve(Some(path), None, &Flags::default(), |_| None)
            .unwrap()
            .config
    };
    assert_eq!(read(&toml), read(&yaml));
    assert_eq!(read(&toml), read(&json));
    assert_eq!(read(&toml).limits.queue, 7);
}

#[test]
fn faults_name_the_place_and_the_key() {
    for (name, text, env_pairs, args, want) in [
        (
            "unknown.toml",
            "[server]\nprot = 1",
            &[][..],
            &[][..],
            "unknown field `prot`",
        ),
        (
            "kind.toml",
            "[server]\nport = \"x\"",
            &[],
            &[],
            "server.port",
        ),
        ("syntax.toml", "[server", &[], &[], "not valid TOML"),
        ("syntax.yaml", "a: [", &[], &[], "not valid YAML"),
        (
            "ok.toml",
            "",
            &[("PREHEAT_PORT", "many")],
            &[],
            "$PREHEAT_PORT",
        ),
        ("ok.toml", "", &[], &["--drain-delay", "5"], "--drain-delay"),
        ("ok.toml", "", &[], &["--engine", "warp"], "--engine"),
    ] {
        let path = file(name, text);
        let error = resolve(Some(&path), None, &flags(args), env(env_pairs)).unwrap_err();
        assert!(
            error.to_string().contains(want),
            "{error} should name {want}"
        );
    }
}

#[test]
fn a_file_that_is_too_large_or_never_ends_is_refused() {
    let large = file("large.toml", &"#".repeat(4_000_001));
    for path in [large, "/dev/zero".into()] {
        let error = resolve(Some(&path), None, &Flags::default(), |_| None).unwrap_err();
        let shown = path.display();
        let want = format!("{shown} cannot be read: it is larger than 4 MB");
        assert_eq!(error.to_string(), want);
        assert!(error.remedy().contains("right file"), "{}", error.remedy());
    }
    let fits = file("fits.toml", &"#".repeat(4_000_000));
    assert!(resolve(Some(&fits), None, &Flags::default(), |_| None).is_ok());
}

#[test]
fn numbers_and_words_are_read_as_the_key_wants_them() {
    let args = ["--host", "127", "--rate", "2.5", "--offline", "--slo", "1s"];
    let config = resolve(None, Some("./m"), &flags(&args), |_| None)
        .unwrap()
        .config;
    assert_eq!(config.server.host, "127");
    assert!((config.limits.rate - 2.5).abs() < 1e-9);
    assert!(config.cache.offline);
    assert_eq!(config.slo.p95.0.as_secs(), 1);
    assert_eq!(config.model[0].source, "./m");
}

#[test]
fn switches_in_variables_are_the_words_that_people_use() {
    for (word, on) in [
        ("1", true),
        ("TRUE", true),
        ("yes", true),
        ("On", true),
        ("0", false),
        ("False", false),
        ("no", false),
        ("off", false),
    ] {
        let pairs = [("SKIP_WARMUP", word)];
        let env = env(&pairs);
        let effective = resolve(None, None, &flags(&[]), env).unwrap();
        assert_eq!(effective.config.warmup.skip, on, "{word}");
    }
    let maybe = env(&[("SKIP_WARMUP", "maybe")]);
    let said = resolve(None, None, &flags(&[]), maybe).unwrap_err();
    let said = said.to_string();
    assert!(said.contains("expected true or false"), "{said}");
    // What is a word or a number for its key stays one.
    let words = env(&[("PREHEAT_KEEP_WARM", "off"), ("PREHEAT_INSTANCES", "1")]);
    let config = resolve(None, None, &flags(&[]), words).unwrap().config;
    assert_eq!(config.keepwarm.mode, preheat_api::config::Upkeep::Off);
    assert_eq!(config.model[0].instances, 1);
}

#[test]
fn variables_that_kubernetes_makes_of_a_service_are_no_settings() {
    let env = env(&[
        ("PREHEAT_PORT", "tcp://10.96.0.12:8000"),
        ("PREHEAT_GRPC_PORT", "udp://10.96.0.13:8001"),
    ]);
    let effective = resolve(None, None, &flags(&[]), env).unwrap();
    let server = &effective.config.server;
    assert_eq!((server.port, server.grpc_port), (8000, 8001));
    assert_eq!(effective.origins.get("server.port"), None);
}
