//! The first request, line by line: what its time went into, where no words say so.
//!
//! What is written between a request's coming and its answer is about that request, and the line after
//! which most of its time passed tells what it waited for. Few words are enough to tell what that is.

use crate::Evidence;
use crate::rules::Part;

/// Lines that are kept, the newest.
const KEPT: usize = 24;

/// Of a log without requests so many lines are watched.
const WATCHED: u32 = 10_000;

/// What takes less is nothing that anybody leaves to the first request.
const SHORTEST_S: f64 = 0.5;

/// Of a request's time.
const SHARE: f64 = 0.25;

/// Clocks of whole seconds differ by so much.
const CLOCKS_S: f64 = 1.0;

#[derive(Debug)]
struct Written {
    at: f64,
    text: String,
    evidence: Evidence,
    is_known: bool,
}

#[derive(Debug, Default)]
pub(super) struct Firsts {
    lines: Vec<Written>,
    /// When a request came in that is not answered yet.
    begun: Option<f64>,
    is_over: bool,
    seen: u32,
}

impl Firsts {
    pub(super) fn are_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn begun(&self) -> Option<f64> {
        self.begun
    }

    pub(super) fn end(&mut self) {
        *self = Firsts {
            is_over: true,
            ..Firsts::default()
        };
    }

    pub(super) fn begins(&mut self, at: Option<f64>) {
        self.begun = self.begun.or(at);
    }

    /// A line is written; whether it was understood as a part of the start.
    pub(super) fn write(&mut self, at: f64, text: &str, evidence: Evidence, is_known: bool) {
        self.seen += 1;
        if self.seen >= WATCHED {
            self.end();
            return;
        }
        if self.lines.len() >= KEPT {
            self.lines.remove(0);
        }
        let text = text.to_owned();
        self.lines.push(Written {
            at,
            text,
            evidence,
            is_known,
        });
    }

    /// The first request was answered: what it waited for, and how long in milliseconds.
    pub(super) fn answered(
        &mut self,
        at: Option<f64>,
        took_ms: Option<f64>,
    ) -> Vec<(Part, f64, Evidence)> {
        self.is_over = true;
        let lines = std::mem::take(&mut self.lines);
        let Some(at) = at else { return Vec::new() };
        let since = self.begun.map(|begun| at - begun);
        let Some(took) = took_ms.map(|ms| ms / 1e3).or(since) else {
            return Vec::new();
        };
        if took < SHORTEST_S {
            return Vec::new();
        }
        let (from, least) = (at - took - CLOCKS_S, (took * SHARE).max(SHORTEST_S));
        let ends = lines.iter().skip(1).map(|line| line.at).chain([at]);
        let waited = lines.iter().zip(ends).filter(|(line, end)| {
            line.at >= from
                && !line.is_known
                && end - line.at >= least
                && end - line.at <= took + CLOCKS_S
        });
        let told = waited.filter_map(|(line, end)| {
            let part = kind(&line.text)?;
            Some((part, (end - line.at) * 1e3, line.evidence.clone()))
        });
        told.collect()
    }
}

/// Words that tell what is done, the most telling first.
const KINDS: [(Part, &[&str]); 4] = [
    (
        Part::Kernels,
        &[
            "compil",
            " jit",
            "kernel",
            "graph",
            "tracing",
            "traced",
            "captur",
            "autotun",
            "nvcc",
            "ptx",
            "codegen",
            "lowering",
            "shader",
            "native code",
            "neuronx cc",
            "engine build",
            "building engine",
        ],
    ),
    (
        Part::Tokenizer,
        &[
            "tokeni",
            "vocab",
            " bpe",
            "merges",
            "sentencepiece",
            "spm",
            "wordpiece",
            "prefix dict",
            "lexicon",
            "text splitter",
        ],
    ),
    (
        Part::Context,
        &[
            "context",
            "cublas",
            "cudnn",
            "cudafree",
            "hip runtime",
            "[hip]",
            "cuda init",
            "gpu init",
            "device init",
            "device 0",
            "driver",
            "cuinit",
            ".to('cuda",
            "to(cuda",
            "runtime brought up",
            "level zero",
        ],
    ),
    (
        Part::Weights,
        &[
            "weights",
            "checkpoint",
            "ckpt",
            "safetensors",
            ".pt",
            ".pth",
            ".onnx",
            ".pkl",
            ".joblib",
            ".gguf",
            ".h5",
            ".keras",
            ".bin",
            ".ckpt",
            ".tflite",
            ".model",
            "model",
            "encoder",
            "decoder",
            "classifier",
            "embedder",
            "detector",
            "ranker",
            "pipeline",
            "transformer(",
            "predictor",
            "session",
            "tensors",
            "('/",
            "(\"/",
            "/models/",
            "mmap",
            "unpickl",
            "bank",
            "net(",
            "pipe ",
        ],
    ),
];

/// What else a request may wait for.
const OTHERS: [&str; 39] = [
    "http://",
    "https://",
    "s3://",
    "image",
    "audio",
    "video",
    "query",
    "sql",
    "redis",
    "database",
    "upstream",
    "retry",
    "timeout",
    "lock",
    "queue",
    "upload",
    "download",
    "token limit",
    "generating",
    "generated",
    "generation",
    "sampling",
    "sampler",
    "forward",
    "infer",
    "predict",
    "decoding",
    "stream",
    "warm",
    "train",
    "adapter",
    "lora",
    "cache:",
    "prefix cache",
    "kv cache",
    "feature",
    "template",
    "connection",
    "checkpoint starting",
];

/// What a line is about of which nobody knows what it tells.
pub(crate) fn kind(text: &str) -> Option<Part> {
    if OTHERS.iter().any(|other| text.contains(other)) {
        return None;
    }
    named_kind(text).or_else(|| is_family(text).then_some(Part::Weights))
}

/// Whether a model is got that is called by its family's name alone: `getting facebook/bart-large ready`.
fn is_family(text: &str) -> bool {
    const FAMILIES: [&str; 14] = [
        "bert", "llama", "whisper", "mistral", "qwen", "gemma", "yolo", "minilm", "bart", "resnet",
        "t5", "e5", "bge", "clip",
    ];
    const GETS: [&str; 10] = [
        "getting",
        "bringing",
        "fetching",
        "pulling",
        "preparing",
        "opening",
        "reading",
        "loading",
        "building",
        "making",
    ];
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    has(&FAMILIES) && has(&GETS)
}

pub(crate) fn named_kind(text: &str) -> Option<Part> {
    let mut kinds = KINDS.iter();
    kinds
        .find(|(_, words)| words.iter().any(|word| text.contains(word)))
        .map(|(part, _)| *part)
}
