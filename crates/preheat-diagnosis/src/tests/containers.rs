//! What is found in a container as a manifest has it.

use crate::{Cause, Container, Diagnosis, Evidence, Probe, ProbeKind};

fn container() -> Container {
    let probe = |kind, window_s| {
        Some(Probe {
            kind,
            window_s,
            line: 9,
        })
    };
    Container {
        name: "embedder".into(),
        source: "pod.yaml".into(),
        line: 5,
        image: "registry.example/embedder:1".into(),
        startup: probe(ProbeKind::Http("/startupz".into()), 60.0),
        readiness: probe(ProbeKind::Http("/readyz".into()), 2.0),
        liveness: probe(ProbeKind::Http("/livez".into()), 30.0),
        is_served: true,
        ..Container::default()
    }
}

fn found(change: impl FnOnce(&mut Container), start_ms: Option<f64>) -> Vec<Cause> {
    let (mut container, mut diagnosis) = (container(), Diagnosis::new());
    change(&mut container);
    diagnosis.container(container);
    if let Some(ms) = start_ms {
        let evidence = Evidence {
            source: "log".into(),
            pod: None,
            line: 1,
            text: "ready".into(),
        };
        diagnosis.start_took(ms, evidence);
    }
    diagnosis
        .report()
        .findings
        .iter()
        .map(|finding| finding.cause)
        .collect()
}

#[test]
fn every_check_of_containers_finds_its_cause_and_nothing_else() {
    assert_eq!(found(|_| {}, None), []);
    assert_eq!(found(|_| {}, Some(59e3)), []);
    assert_eq!(found(|_| {}, Some(61e3)), [Cause::ProbeWindow]);
    assert_eq!(found(|c| c.startup = None, None), [Cause::LivenessKills]);
    // Its startup probe asks whether it is ready, and holds it back until then.
    assert_eq!(found(|c| c.readiness = None, None), []);
    let ungated = |startup: Option<ProbeKind>| {
        move |c: &mut Container| {
            c.readiness = None;
            c.liveness = None;
            c.startup = c
                .startup
                .take()
                .zip(startup)
                .map(|(probe, kind)| Probe { kind, ..probe });
        }
    };
    for startup in [
        None,
        Some(ProbeKind::Tcp),
        Some(ProbeKind::Http("/livez".into())),
    ] {
        assert_eq!(found(ungated(startup), None), [Cause::ReadyTooEarly]);
    }
    let command = |words: &'static str| {
        move |c: &mut Container| c.command = words.split(' ').map(str::to_owned).collect()
    };
    assert_eq!(
        found(command("uvicorn app:app --reload"), None),
        [Cause::DoubleLoadReloader]
    );
    assert_eq!(
        found(command("gunicorn app:app -w 4"), None),
        [Cause::DoubleLoadWorkers]
    );
    assert_eq!(
        found(command("gunicorn app:app --workers=4 --preload"), None),
        []
    );
    assert_eq!(
        found(command("server --model-id org/name"), None),
        [Cause::DownloadAtStart]
    );
    assert_eq!(found(command("server --model-id /models/name"), None), []);
    // The image is the program.
    let synced = |image: &'static str| {
        move |c: &mut Container| {
            (c.is_init, c.image) = (true, image.into());
            c.command = ["s3", "sync", "s3://weights/name", "/data/model"]
                .map(str::to_owned)
                .to_vec();
        }
    };
    assert_eq!(
        found(synced("amazon/aws-cli:2.28.0"), None),
        [Cause::DownloadAtStart]
    );
    assert_eq!(found(synced("acme/s3-lint:1"), None), []);
    let env = |name: &'static str, value: &'static str| {
        move |c: &mut Container| {
            c.cpu_limit = Some(2.0);
            c.env.push((name.into(), value.into()));
        }
    };
    assert_eq!(
        found(env("SKIP_WARMUP", "true"), None),
        [Cause::WarmupSkipped]
    );
    assert_eq!(found(env("SKIP_WARMUP", "false"), None), []);
    assert_eq!(
        found(env("VLLM_SKIP_WARMUP", "1"), None),
        [Cause::WarmupSkipped]
    );
    assert_eq!(found(env("OMP_NUM_THREADS", "16"), None), [Cause::CpuLimit]);
    assert_eq!(found(env("OMP_NUM_THREADS", "2"), None), []);
    let pooled = |has_accelerator| {
        move |c: &mut Container| {
            c.image = "vllm/vllm-openai:1".into();
            (c.cpu_limit, c.has_accelerator) = (Some(8.0), has_accelerator);
        }
    };
    assert_eq!(found(pooled(false), None), [Cause::CpuLimit]);
    assert_eq!(found(pooled(true), None), []);
}

/// Where nothing is measured, a start that fetches its weights is given more time.
#[test]
fn a_download_makes_a_window_short() {
    let patient = |model: &'static str| {
        move |c: &mut Container| {
            c.startup = None;
            c.liveness = c.liveness.take().map(|probe| Probe {
                window_s: 90.0,
                ..probe
            });
            c.command = ["vllm", "serve", model].map(str::to_owned).to_vec();
        }
    };
    assert_eq!(found(patient("/models/one"), None), []);
    assert_eq!(
        found(patient("org/one"), None),
        [Cause::LivenessKills, Cause::DownloadAtStart]
    );
}

#[test]
fn a_model_named_on_a_hub_is_fetched_and_a_folder_is_not() {
    for (switch, is_fetched) in [
        ("--model-path=org/name", true),
        ("--hf-repo org/name", true),
        ("--model-path models/name", false),
        ("--served-model-alias org/name", false),
        ("--dtype org/name", false),
    ] {
        let change = |c: &mut Container| c.command = switch.split(' ').map(str::to_owned).collect();
        let want: &[Cause] = if is_fetched {
            &[Cause::DownloadAtStart]
        } else {
            &[]
        };
        assert_eq!(found(change, None), want, "{switch}");
    }
    let reloads = |c: &mut Container| c.command = vec!["fastapi".into(), "dev".into()];
    assert_eq!(found(reloads, None), [Cause::DoubleLoadReloader]);
}
