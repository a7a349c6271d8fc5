//! Texts that people read: help, the effective configuration, what is said of mistakes.

use insta::assert_snapshot;

use super::Shell;
use super::mask::masked;

/// Nobody listens on a port that only the system may give out.
const NOBODY: &str = "http://127.0.0.1:9";

#[test]
fn help_names_every_verb() {
    let help = Shell::new().call(["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    assert_snapshot!(help.stdout);
}

/// The settings below are a table of their own, published as the reference.
#[test]
fn help_of_serve() {
    let help = Shell::new().call(["serve", "--help"]).stdout;
    let (top, settings) = help.split_once("Settings:").unwrap();
    assert_snapshot!(top);
    assert!(settings.contains("--port <port>"), "{settings}");
    assert!(settings.contains("[env: PREHEAT_PORT]"), "{settings}");
}

#[test]
fn check_shows_every_value_with_its_origin() {
    let config = "[server]\nhost = \"0.0.0.0\"\nport = 9000\n[cache.store]\n\
                  aws_secret_access_key = \"hunter2\"\naws_region = \"eu-central-1\"\n";
    let shell = Shell::with(config)
        .env("PREHEAT_PORT", "9001")
        .env("SKIP_WARMUP", "true");
    let args = ["check", "hf:org/name", "--grpc-port", "9002"];
    let check = shell.call(args);
    assert_snapshot!(check.whole());

    let json = shell.call([&args[..], &["--json"]].concat()).json();
    assert_eq!(json["values"]["server"]["port"], 9001);
    assert_eq!(json["origins"]["server.port"], "$PREHEAT_PORT");
    assert_eq!(json["origins"]["server.host"], "preheat.toml");
    assert_eq!(json["origins"]["model.0.source"], "argument");
    assert_eq!(json["origins"]["drain.delay"], "default");
    assert!(!json.to_string().contains("hunter2"));
}

#[test]
fn check_tells_of_a_server_that_cannot_be_rolled_out() {
    let config = "[fleet]\nmax = 1\n[[model]]\nengine = \"http\"\nname = \"m\"\n\
                  http = { command = [\"x\"], url = \"http://127.0.0.1:9\" }\n";
    let check = Shell::with(config).call(["check"]);
    assert_eq!(check.code, 0, "{check:?}");
    let advice =
        "m cannot be rolled out: the next revision would start its server at http://127.0.0.1:9";
    assert!(check.stderr.contains(advice), "{check:?}");
}

/// A table of values is pasted into tickets.
#[test]
fn check_keeps_secrets_of_servers_and_addresses_to_itself() {
    let config = "[[model]]\nengine = \"http\"\n\
                  source = \"https://me:hunter2@h/m.zip?X-Signature=hunter2\"\n\
                  http = { url = \"h:1\", env = { API_KEY = \"hunter2\", MODE = \"fast\" } }\n";
    let shell = Shell::with(config);
    for json in [&[][..], &["--json"]] {
        let check = shell.call([&["check"][..], json].concat());
        assert_eq!(check.code, 0, "{check:?}");
        assert!(check.stdout.contains("https://h/m.zip"), "{check:?}");
        assert!(check.stdout.contains("fast"), "{check:?}");
        assert!(!check.stdout.contains("hunter2"), "{check:?}");
    }
}

/// What the next start reads is read now.
#[test]
fn check_reads_certificates() {
    let shell = Shell::with("[auth.tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n");
    shell.write("cert.pem", "no certificate\n");
    let check = shell.call(["check"]);
    assert_eq!(check.code, 10, "{check:?}");
    assert!(check.stderr.contains("cert.pem"), "{check:?}");
}

/// A slip in a name would change nothing without a word; what Kubernetes says of services is no slip.
#[test]
fn variables_that_set_nothing_are_named() {
    let shell = Shell::new()
        .env("PREHEAT_MAXBATCH", "8")
        .env("PREHEAT_MAX_BATCH", "8")
        .env("PREHEAT_SERVICE_HOST", "10.0.0.1")
        .env("PREHEAT_PORT_8000_TCP_ADDR", "10.0.0.1")
        .env("PREHEAT_GATEWAY_PORT", "tcp://10.0.0.2:8000");
    let check = shell.call(["check"]);
    assert_eq!(check.code, 0, "{check:?}");
    assert!(
        check.stderr.contains("$PREHEAT_MAXBATCH is no setting"),
        "{check:?}"
    );
    assert_eq!(check.stderr.lines().count(), 1, "{check:?}");
}

/// Several models, or a fleet, are a gateway's; each replica is checked too.
#[test]
fn check_takes_a_gateways_configuration() {
    let two = "[[model]]\nname = \"a\"\n[[model]]\nname = \"b\"\n";
    let twice =
        "route = { prefix = \"/x\" }\n[[model]]\nname = \"c\"\nroute = { prefix = \"/x/\" }\n";
    for (config, told) in [
        (two.to_owned(), ""),
        (format!("{two}{twice}"), "model.route"),
        ("[fleet]\nmin = 9\n".to_owned(), "fleet.min"),
        (format!("{two}fleet = {{ max = 0 }}\n"), "fleet.max"),
        (format!("[warmup]\nrounds = 0\n{two}"), "warmup.rounds"),
    ] {
        let check = Shell::with(&config).call(["check"]);
        let code = if told.is_empty() { 0 } else { 10 };
        assert_eq!(check.code, code, "{check:?}");
        assert!(check.stderr.contains(told), "{check:?}");
    }
}

/// Figures that no server can keep are refused before one starts.
#[test]
fn check_refuses_what_cannot_be_kept() {
    for (config, told) in [
        ("[limits]\nrate = 1e-20\n", "limits.rate"),
        ("[limits]\nrate = nan\n", "limits.rate"),
        ("[limits]\nrate = 1e300\n", "limits.rate"),
        ("[limits]\nrate = -1.0\n", "limits.rate"),
        ("[drift]\nshare = 2.0\n", "drift.share"),
        ("[keepwarm]\ntolerance = 0.0\n", "keepwarm.tolerance"),
        ("[keepwarm]\ntolerance = inf\n", "keepwarm.tolerance"),
        (
            "[server]\nrequest_timeout = \"300000000000years\"\n",
            "request_timeout",
        ),
    ] {
        let check = Shell::with(config).call(["check"]);
        assert_eq!(check.code, 10, "{config}: {check:?}");
        assert!(check.stderr.contains(told), "{config}: {check:?}");
    }
    let fits = "[limits]\nrate = 1e-6\n[drift]\nshare = 0.05\n[keepwarm]\ntolerance = 1.0\n";
    let check = Shell::with(fits).call(["check"]);
    assert_eq!(check.code, 0, "{check:?}");
}

#[test]
fn a_mistake_is_named_with_what_to_do_about_it() {
    let mut said = String::new();
    for (config, args) in [
        ("[server]\nprot = 8000\n", &["check"][..]),
        ("server = 3\n", &["check"]),
        ("[server]\nport = 99999\n", &["check"]),
        ("[server\n", &["check"]),
        ("", &["check", "--config", "nowhere.toml"]),
        ("", &["check", "--config", "/dev/zero"]),
        ("", &["check", "--drain-delay", "5"]),
        ("[warmup]\nrounds = 0\n", &["serve"]),
        ("", &["serve", "no-such-model"]),
        ("", &["warm", "hf:a/b", "--offline"]),
        ("", &["status", "ftp://host"]),
        ("", &["models", "rm", "nothing"]),
        ("", &["wait", NOBODY, "--timeout", "1s"]),
        ("", &["audit", NOBODY]),
        ("", &["bench", NOBODY]),
        ("", &["record", NOBODY]),
        ("", &["scale", "--url", NOBODY, "--min", "1"]),
        ("", &["rollout", "--url", NOBODY]),
        ("", &["rollback", "--url", NOBODY]),
        ("", &["plan", "--from", "nothing.ndjson"]),
        ("", &["init", "--from", "nothing.json"]),
        ("", &["init", "--from", "/dev/zero"]),
        ("", &["diagnose", "nothing.log"]),
        ("", &["simulate", "nothing.toml"]),
        ("", &["init", "--out", "/dev/null/deploy"]),
        ("", &["man", "/dev/null/man"]),
    ] {
        let called = Shell::with(config)
            .env("PREHEAT_LOG_FORMAT", "text")
            .env("RUST_LOG", "off")
            .call(args);
        assert_eq!(
            called.stdout.lines().count(),
            lines_of_data(args),
            "{called:?}"
        );
        said += &format!("$ preheat {}\n{}\n", args.join(" "), called.stderr);
        said += &format!("── code {} ──\n", called.code);
    }
    assert_snapshot!(said);
}

/// A start that failed is reported all the same, as the name of the model.
fn lines_of_data(args: &[&str]) -> usize {
    if args[0] == "warm" { 2 } else { 0 }
}

#[test]
fn files_for_a_deployment_are_named_with_the_figures_behind_them() {
    let report = crate::replica::root().join("deploy/report.json");
    let report = report.to_str().unwrap();
    let shell = Shell::new();
    let written = shell.call(["init", "--from", report, "--out", "made"]);
    assert_snapshot!(written.whole());
}

#[test]
fn a_plan_from_traffic_says_what_it_stands_for() {
    let shell = Shell::with("[[model]]\nengine = \"http\"\n");
    let long = "long ".repeat(60);
    let mut lines = [r#"{"path": "/embed", "body": ["short"]}"#, "\n"]
        .concat()
        .repeat(9);
    lines += &format!("{{\"path\": \"/v1/embeddings\", \"body\": {{\"input\": \"{long}\"}}}}\n");
    shell.write("requests.ndjson", &lines);
    shell.write(
        "access.log",
        "10.0.0.1 - - \"POST /rerank HTTP/1.1\" 200 512\n",
    );
    let planned = shell.call(["plan", "--from", "requests.ndjson", "--from", "access.log"]);
    assert_snapshot!(planned.whole());
}

#[test]
fn a_plan_without_traffic_is_what_the_model_asks_for() {
    let model = crate::replica::model_folder();
    let derived = Shell::new().call(["plan", model.to_str().unwrap()]);
    let seen = masked(&derived.whole(), &[(model.to_str().unwrap(), "MODEL")]);
    assert_snapshot!(seen);
}

#[test]
fn a_reader_that_goes_is_a_quiet_end() {
    let shell = Shell::new();
    let mut child = shell
        .command(["check"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn completions_know_the_verbs() {
    for (shell, word) in [
        ("bash", "_preheat"),
        ("zsh", "#compdef"),
        ("fish", "complete"),
    ] {
        let script = Shell::new().call(["completions", shell]);
        assert_eq!(script.code, 0);
        assert!(script.stdout.contains(word) && script.stdout.contains("models"));
    }
}
