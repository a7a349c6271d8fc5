//! Lists of words that rules pair: what everybody says in words of their own.

/// Something that was tried and did not succeed.
pub(super) const FAILED: &[&str] = &[
    "failed",
    "error loading",
    "error while loading",
    "error setting up",
    "error initializing",
    "could not be",
    "could not load",
    "couldn't load",
    "cannot be",
    "cannot load",
    "can't load",
    "unable to load",
    "unable to open",
    "did not become available",
    "did not load",
    "is corrupt",
    "corrupted",
];

/// What has to be there before anything can be served.
pub(super) const NEEDED: &[&str] = &[
    "model",
    "model's",
    "weights",
    "checkpoint",
    "servable",
    "savedmodel",
    "safetensors",
    "gguf",
    "onnx",
    "torchscript",
    "state dict",
    "tokenizer",
    "inference session",
    "model instance",
    "loading servable",
    "setting up worker",
    "workers failed to start",
    "python stub",
    "initializing service",
];

pub(super) const WARMUP: &[&str] = &[
    "warm up",
    "warmup",
    "warming up",
    "warming",
    "warm up request",
    "warmup request",
];

pub(super) const BROKEN: &[&str] = &[
    "failed",
    "failure",
    "error:",
    "error",
    "exception",
    "raised",
    "aborted",
    "timed out",
    "did not end",
    "did not finish",
    "crashed",
];

/// Memory of a device or a process, and that it does not suffice.
pub(super) const MEMORY: &[&str] = &[
    "memory",
    "vram",
    "kv cache",
    "buffer",
    "cudamalloc",
    "alloc",
];

pub(super) const TOO_LITTLE: &[&str] = &[
    "out of memory",
    "not enough",
    "insufficient",
    "larger than the available",
    "exceeds the available",
    "exceeds available",
    "would not fit",
    "does not fit",
    "doesn't fit",
    "failed to allocate",
    "unable to allocate",
    "could not allocate",
    "couldn't allocate",
    "cannot allocate",
    "exhausted",
    "killed due to",
    "running low on",
];

/// Servers beside the one that is diagnosed: nobody's model is loaded by them.
pub(super) const OTHER_SERVERS: &[&str] = &[
    "redis",
    "postgres",
    "mysql",
    "kafka",
    "broker",
    ":5432",
    ":6379",
    ":3306",
    "rabbit",
    "mongo",
    "otel",
    "collector",
    "4317",
    "4318",
];
