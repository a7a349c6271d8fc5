//! Lists of words that rules pair: what everybody says in words of their own.

/// Something that was tried and did not succeed.
pub(super) const FAILED: &[&str] = &[
    "failed",
    "could not be",
    "cannot be",
    "did not become available",
    "did not load",
    "is corrupt",
    "corrupted",
];

/// That something cannot be taken into use, said so closely that what it is may be called anything.
pub(super) const UNABLE: &[&str] = &[
    "error loading",
    "error while loading",
    "error setting up",
    "error initializing",
    "could not load",
    "could not open",
    "could not read",
    "could not restore",
    "could not parse",
    "could not deseriali",
    "could not unpickl",
    "could not initiali",
    "could not instantiat",
    "could not create",
    "cannot deseriali",
    "cannot restore",
    "cannot parse",
    "unable to deseriali",
    "unable to restore",
    "unable to parse",
    "unable to initiali",
    "unable to instantiat",
    "unable to create",
    "couldn't open",
    "cannot open",
    "cannot read",
    "can't open",
    "unable to read",
    "couldn't load",
    "cannot load",
    "can't load",
    "unable to load",
    "unable to open",
    "failed to load",
    "failed to open",
    "failed to restore",
    "failed to deseriali",
    "failed to unpickl",
    "failed to initiali",
    "failed to instantiat",
];

/// What a server may call what it serves, and what its container may be called as well.
pub(super) const SERVED: &[&str] = &[
    "pipeline",
    "encoder",
    "classifier",
    "embedder",
    "detector",
    "ranker",
    "reranker",
    "network",
    "predictor",
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

/// A device that computes faster than processors do, and that it is not there.
pub(super) const DEVICE: &[&str] = &["cuda", "gpu", "rocm", "tensorrt", "accelerator"];

pub(super) const ABSENT: &[&str] = &[
    "is not available",
    "not available",
    "is available() is false",
    "is available() returned false",
    "is available(): false",
    "is available()=false",
    "running on cpu",
    "running on cpu",
    "using cpu",
    "using cpu",
    "cpu will be used",
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
    "larger than available",
    "exceeds available",
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
    ":5672",
    ":27017",
    "port: 5432",
    "port: 6379",
    "port: 3306",
    "sqlstate",
    "rabbit",
    "mongo",
    "otel",
    "collector",
    "4317",
    "4318",
    "telemetry",
    "exporter",
    "statsd",
    "jaeger",
    "zipkin",
    "pushgateway",
    "elasticsearch",
    "consul",
    "etcd",
    "amqp",
    "celery",
    "memcached",
    "database",
];
