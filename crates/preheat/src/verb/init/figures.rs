//! From measured starts to the figures of probes, resources and scaling.

use preheat_api::ReadinessReport;
use preheat_api::report::ModelReport;
use preheat_core::Failure;
use preheat_engine::source::RUNTIME_FILE;
use preheat_server::human;

use crate::exit::configuration;

/// Assumed where nothing was measured.
const ASSUMED_START_S: f64 = 40.0;
const ASSUMED_MEMORY_MI: u64 = 2048;

/// A report that says more is not from a clock.
const LONGEST_START_S: u64 = 1_000_000;

/// Seconds between two startup probes.
const STARTUP_PERIOD_S: f64 = 2.0;

/// The first probe comes with the container, and a busy node is slow to begin with: fewer would end a
/// replica that has only just begun.
const STARTUP_PROBES: u64 = 5;

/// Share of the memory limit that the peak may take.
const MEMORY_SHARE: f64 = 0.8;

/// No two starts have the same peak.
const MEMORY_SLACK: f64 = 1.25;

/// A start that finds no artefacts for its CPU packs the weights anew, and holds both meanwhile.
const PACKING_SHARE: f64 = 2.0;

/// Drain delay, drain timeout, and what is left to end in.
const GRACE_S: u64 = 5 + 20 + 5;

/// What the library is called in an image.
const LIBRARY: &str = "libonnxruntime.so";

/// What a report calls ONNX Runtime where it computes on CPUs.
pub(super) const ONNX_ENGINE: &str = "onnx-cpu";

/// Share of a replica's capacity that is planned for.
const CAPACITY_SHARE: f64 = 0.7;

/// What the user calls things.
#[derive(Debug, Clone)]
pub struct Names {
    name: String,
    image: String,
    model: String,
}

/// What was measured, over all reports: the worst of each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    pub start_s: Option<f64>,
    pub peak_bytes: Option<u64>,
    pub weights_bytes: Option<u64>,
    pub steady_ms: Option<f64>,
    /// A start was on ONNX Runtime, on CPUs.
    pub onnx: bool,
    pub reports: usize,
}

impl Names {
    /// Names that may stand in YAML, in a Dockerfile and in the cluster.
    pub fn checked(name: &str, image: &str, model: &str) -> Result<Self, Failure> {
        let dns = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_dns = name.len() <= 63
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.ends_with(ends)
            && name.chars().all(dns);
        if !is_dns {
            return Err(configuration(
                format!("`{name}` is no name for a cluster"),
                "take at most 63 lower-case letters, digits and dashes, a letter first",
            ));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=+".contains(c);
        for (what, text) in [("image", image), ("model", model)] {
            if text.is_empty() || !text.chars().all(plain) {
                return Err(configuration(
                    format!("`{text}` is no {what}"),
                    "leave out blanks, quotes and control characters",
                ));
            }
        }
        Ok(Names {
            name: name.to_owned(),
            image: image.to_owned(),
            model: model.to_owned(),
        })
    }
}

fn weights(model: &ModelReport) -> Option<u64> {
    let stages = model.waterfall.iter();
    let weights = stages.filter(|stage| stage.stage == "weights");
    weights.filter_map(|stage| stage.bytes).max()
}

impl Figures {
    pub fn of(reports: &[ReadinessReport]) -> Self {
        let models = || reports.iter().flat_map(|report| &report.models);
        let starts = models().filter_map(ModelReport::started_ms);
        Figures {
            start_s: starts.map(|ms| ms / 1e3).reduce(f64::max),
            peak_bytes: models()
                .map(|model| model.memory.peak_bytes)
                .max()
                .filter(|peak| *peak > 0),
            weights_bytes: models().filter_map(weights).max(),
            steady_ms: models()
                .filter_map(|model| model.proof.steady_ms)
                .reduce(f64::max),
            onnx: models().any(|model| {
                let engine = model.engine.as_ref();
                engine.is_some_and(|engine| engine.name == ONNX_ENGINE)
            }),
            reports: reports.len(),
        }
    }

    /// Three times the measured start, in probes, and no fewer than a start of any length needs.
    pub fn startup_threshold(&self) -> u64 {
        let start = self.start_s.unwrap_or(ASSUMED_START_S);
        ((3.0 * start / STARTUP_PERIOD_S).ceil() as u64).clamp(STARTUP_PROBES, 1_000_000)
    }

    /// What is asked of a node: the peak takes no more than its share of it.
    pub fn memory_mi(&self) -> u64 {
        self.memory_for(|peak| peak)
    }

    /// The most that there may be: starts differ, and some pack the weights first.
    pub fn memory_limit_mi(&self) -> u64 {
        let weights = PACKING_SHARE * self.weights_bytes.unwrap_or(0) as f64;
        self.memory_for(|peak| (MEMORY_SLACK * peak).max(peak + weights))
    }

    fn memory_for(&self, need: impl Fn(f64) -> f64) -> u64 {
        let mi = |peak: u64| need(peak as f64) / MEMORY_SHARE / f64::from(1 << 20);
        self.peak_bytes
            .map_or(ASSUMED_MEMORY_MI, |peak| mi(peak).ceil() as u64)
    }

    pub fn readiness_s(&self) -> u64 {
        if self.start_s.unwrap_or(ASSUMED_START_S) < 10.0 {
            1
        } else {
            2
        }
    }

    fn start_whole_s(&self) -> u64 {
        (self.start_s.unwrap_or(ASSUMED_START_S).ceil() as u64).min(LONGEST_START_S)
    }

    fn rate(&self) -> u64 {
        let rate = self
            .steady_ms
            .filter(|ms| *ms > 0.0)
            .map(|ms| CAPACITY_SHARE * 1e3 / ms);
        rate.map_or(10, |rate| (rate.floor() as u64).max(1))
    }

    fn values(&self, names: &Names) -> Vec<(&'static str, String)> {
        let Names { name, image, model } = names;
        let start = self.start_whole_s();
        let mut values = self.remarks();
        values.extend(self.library());
        values.extend([
            ("name", name.clone()),
            ("image", image.clone()),
            ("model", model.clone()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("replicas", "2".to_owned()),
            ("cpu", "1".to_owned()),
            ("startup_threshold", self.startup_threshold().to_string()),
            (
                "window_s",
                (self.startup_threshold() * STARTUP_PERIOD_S as u64).to_string(),
            ),
            ("readiness_s", self.readiness_s().to_string()),
            ("memory_mi", self.memory_mi().to_string()),
            ("memory_limit_mi", self.memory_limit_mi().to_string()),
            ("grace_s", GRACE_S.to_string()),
            ("progress_s", (3 * start + 60).max(600).to_string()),
            ("scale_up_s", start.clamp(1, 1800).to_string()),
            ("scale_down_s", (2 * start).clamp(60, 3600).to_string()),
            ("rate", self.rate().to_string()),
        ]);
        values
    }

    /// What an image holds beside the binary. Without ONNX Runtime another engine would compute than the
    /// one that was measured.
    fn library(&self) -> [(&'static str, String); 3] {
        if !self.onnx {
            let files = "config.json, tokenizer.json and model.safetensors in one directory.";
            return [
                ("library_stage", String::new()),
                ("library", String::new()),
                ("files", files.to_owned()),
            ];
        }
        let stage = "# ONNX Runtime, which the measured start ran on: preheat fetches it with pip and checks it.\n\
             FROM python:3.13-slim-trixie AS library\n\
             COPY --from=build /src/target/release/preheat /usr/local/bin/preheat\n\
             COPY --from=model . /model\n\
             RUN preheat models pull /model --engine onnx --cache-dir /cache\n\n\
             # A container has no way to fetch it, and its cache is empty.\n";
        let copy = format!(
            "COPY --from=library /cache/{RUNTIME_FILE} /usr/local/lib/{LIBRARY}\n\
             ENV ORT_DYLIB_PATH=/usr/local/lib/{LIBRARY}\n"
        );
        let files = "model.onnx, and the tokenizer of a model of texts, in one directory.";
        [
            ("library_stage", stage.to_owned()),
            ("library", copy),
            ("files", files.to_owned()),
        ]
    }

    /// Where each figure comes from.
    fn remarks(&self) -> Vec<(&'static str, String)> {
        let from = match self.reports {
            0 => "Written by `preheat init` without a measured start: figures are assumed. Run it again with --from.".to_owned(),
            1 => "Written by `preheat init --from` one measured start.".to_owned(),
            count => format!("Written by `preheat init --from` {count} measured starts; the worst of each figure counts."),
        };
        let start = match self.start_s {
            Some(start) => format!(
                "Measured: proven {} after the process began.",
                human::millis(start * 1e3)
            ),
            None => format!("Assumed: a start of {ASSUMED_START_S} s."),
        };
        let memory = match self.peak_bytes {
            Some(peak) => format!(
                "Measured: {} at the peak of warm-up; that is at most 80 % of what is requested.",
                human::bytes(peak)
            ),
            None => format!("Assumed: {ASSUMED_MEMORY_MI} MiB."),
        };
        let limit = match self.weights_bytes.filter(|_| self.peak_bytes.is_some()) {
            Some(weights) => format!(
                "The limit has room for a start that packs {} of weights anew, as on another CPU.",
                human::bytes(weights)
            ),
            None => "No two starts have the same peak: the limit has a quarter more.".to_owned(),
        };
        let rate = match self.steady_ms {
            Some(steady) => format!(
                "Measured: {} for a steady request, so 70 % of {:.0} in a second, one at a time.",
                human::millis(steady),
                1e3 / steady.max(1e-3)
            ),
            None => "Assumed: requests in a second that one replica carries.".to_owned(),
        };
        let annotation = match self.start_s {
            Some(start) => format!("preheat/measured-start: \"{}\"", human::millis(start * 1e3)),
            None => format!("preheat/assumed-start: \"{ASSUMED_START_S} s\""),
        };
        vec![
            ("remark", from),
            ("start_remark", start),
            ("memory_remark", memory),
            ("limit_remark", limit),
            ("rate_remark", rate),
            ("annotation", annotation),
        ]
    }

    pub fn fill(&self, template: &str, names: &Names) -> String {
        replaced(template, &self.values(names))
    }

    /// As [`Figures::fill`], with the chart's values where it has some.
    pub fn fill_chart(&self, template: &str, names: &Names) -> String {
        let value = |name: &str| {
            Some(match name {
                "name" => "{{ .Release.Name }}",
                "image" => "{{ .Values.image }}",
                "model" => "{{ .Values.model }}",
                "replicas" => "{{ .Values.replicas }}",
                "cpu" => "{{ .Values.cpu }}",
                "startup_threshold" => "{{ .Values.startupThreshold }}",
                "readiness_s" => "{{ .Values.readinessSeconds }}",
                "memory_mi" => "{{ .Values.memoryMi }}",
                "memory_limit_mi" => "{{ .Values.memoryLimitMi }}",
                "grace_s" => "{{ .Values.graceSeconds }}",
                "progress_s" => "{{ .Values.progressSeconds }}",
                "scale_up_s" => "{{ .Values.scaleUpSeconds }}",
                "scale_down_s" => "{{ .Values.scaleDownSeconds }}",
                _ => return None,
            })
        };
        let values = self
            .values(names)
            .into_iter()
            .map(|(name, figure)| (name, value(name).map_or(figure, str::to_owned)));
        replaced(template, &values.collect::<Vec<_>>())
    }

    /// What a person is told in the end.
    pub fn summary(&self) -> String {
        let remarks = self.remarks();
        let of = |wanted: &str| {
            remarks
                .iter()
                .find(|(name, _)| *name == wanted)
                .map_or("", |(_, text)| text.as_str())
        };
        format!(
            "{}\n{}\n{}",
            of("remark"),
            of("start_remark"),
            of("memory_remark")
        )
    }
}

fn replaced(template: &str, values: &[(&'static str, String)]) -> String {
    let mut text = template.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("@{name}@"), value);
    }
    text
}
