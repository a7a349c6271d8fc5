use super::*;

const TRAFFIC: &str = "[[traffic]]\nrate = 1\nfor = \"1s\"\n";

fn cause(text: &str) -> String {
    let resolved = parse(text, "x.toml").and_then(|file| {
        resolve(&file, None)?;
        strategies(&file)
    });
    resolved.map_or_else(|failure| failure.cause, |_| "accepted".to_owned())
}

#[test]
fn mistakes_name_the_key_and_the_bound() {
    for (text, want) in [
        ("[fleet", "x.toml is not valid TOML"),
        ("[fleet]\nmaxx = 3", "fleet.maxx: unknown field `maxx`"),
        (
            "[slo]\np95 = \"fast\"",
            "slo.p95: \"fast\" is not a duration",
        ),
        ("", "no traffic to simulate"),
        (
            "[[traffic]]\nfor = \"1s\"",
            "traffic.0 needs exactly one of rate",
        ),
        (
            "[[traffic]]\nrate = 1\nfrom = 1\nto = 2\nfor = \"1s\"",
            "traffic.0 needs exactly one",
        ),
        (
            "[[traffic]]\nrate = -1\nfor = \"1s\"",
            "traffic.0.rate is -1",
        ),
        (
            "[[traffic]]\nrate = nan\nfor = \"1s\"",
            "traffic.0.rate is NaN",
        ),
        ("[[traffic]]\nrate = 1", "traffic.0.for is missing"),
        (
            "[[traffic]]\nrate = 1e6\nfor = \"1day\"",
            "requests, more than 50000000",
        ),
        (
            "[[traffic]]\nrate = 0\nfor = \"1year\"",
            "longer than 7 days",
        ),
        (
            "[[traffic]]\nfile = \"nowhere.txt\"",
            "nowhere.txt cannot be read",
        ),
        (
            "[fleet]\nmin = 9\nmax = 3",
            "fleet.min is 9; it must be from 0 to 3",
        ),
        ("[replica]\nconcurrency = 0", "replica.concurrency is 0"),
        ("[replica.cold]\nshapes = 65", "replica.cold.shapes is 65"),
        ("[replica.service]\np95 = \"1ms\"", "below the median"),
        (
            "[[compare]]\nstrategy = \"magic\"",
            "unknown variant `magic`",
        ),
        (
            "[[compare]]\nstrategy = \"hpa\"\nspares = 1",
            "parts of preheat alone",
        ),
        (
            "[failures]\ncrashes_per_hour = 1e7\n[[traffic]]\nrate = 1\nfor = \"7days\"",
            "instances come and go, more than 5000000",
        ),
        (
            "[[compare]]\nstrategy = \"fixed\"\nreplicas = 0",
            "compare.0.replicas is 0",
        ),
        (
            "[fleet]\nmax = 3\n[[compare]]\nstrategy = \"fixed\"\nreplicas = 4",
            "compare.0.replicas is 4; it must be from 1 to 3",
        ),
        (
            "[[compare]]\nstrategy = \"hpa\"\nreplicas = 4",
            "compare.0: replicas is a part of fixed alone",
        ),
        (
            "[[traffic]]\nrate = 1\nevery = \"2s\"\nfor = \"9s\"",
            "traffic.0: every and length are parts of bursts",
        ),
        (
            "[[traffic]]\nbase = 1\npeak = 2\nevery = \"2s\"\nlength = \"3s\"\nfor = \"9s\"",
            "traffic.0.length is longer than every",
        ),
    ] {
        let text = if text.contains("traffic") || text.is_empty() {
            text.to_owned()
        } else {
            format!("{text}\n{TRAFFIC}")
        };
        let cause = cause(&text);
        assert!(cause.contains(want), "{text:?}: {cause} should name {want}");
    }
}

#[test]
fn a_gate_that_is_written_is_the_one_that_is_played() {
    let strategy = |gate: &str| {
        let text = format!("{TRAFFIC}[[compare]]\nstrategy = \"unprotected\"\n{gate}");
        strategies(&parse(&text, "x").unwrap()).unwrap()[0].name()
    };
    assert_eq!(strategy(""), "unprotected");
    assert_eq!(strategy("gate = \"loaded\""), "unprotected");
    let warmed = strategy("gate = \"warmed\"");
    assert!(warmed.starts_with("preheat, 0 spares, "), "{warmed}");
}

#[test]
fn the_shipped_scenarios_are_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/simulate");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            assert_eq!(
                cause(&std::fs::read_to_string(&path).unwrap()),
                "accepted",
                "{path:?}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 6);
}

#[test]
fn a_recording_is_read_in_order() {
    let folder = std::env::temp_dir().join(format!("preheat-simulate-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("good.txt"), "# seconds\n0.1\n\n0.25\n3\n").unwrap();
    std::fs::write(folder.join("back.txt"), "2\n1\n").unwrap();
    std::fs::write(folder.join("bad.txt"), "1\nsoon\n").unwrap();
    std::fs::write(folder.join("late.txt"), "1.8e19\n").unwrap();
    let traffic = |name: &str| {
        let file = parse(&format!("[[traffic]]\nfile = \"{name}\""), "x").unwrap();
        resolve(&file, Some(&folder)).map(|scenario| scenario.traffic)
    };
    let good = traffic("good.txt").unwrap();
    assert_eq!(good.lasts(), Duration::from_millis(3_001));
    let Shape::Recorded(times) = &good.parts[0].shape else {
        panic!("{good:?}")
    };
    assert_eq!(times.len(), 3);
    assert!(
        traffic("back.txt")
            .unwrap_err()
            .cause
            .contains("back.txt:2: earlier")
    );
    assert!(
        traffic("bad.txt")
            .unwrap_err()
            .cause
            .contains("bad.txt:2: \"soon\"")
    );
    assert!(
        traffic("late.txt")
            .unwrap_err()
            .cause
            .contains("late.txt:1: \"1.8e19\"")
    );
}
