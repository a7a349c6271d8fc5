//! One flag, one environment variable, one key: the table of all three.
//!
//! Flags and variables reach the first `[[model]]`; a file may say more.

/// A setting that can be given in three ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Dotted path in the configuration; `model.0.` is the first model.
    pub key: &'static str,
    /// Long flag without the dashes.
    pub flag: &'static str,
    pub env: &'static str,
    pub help: &'static str,
}

macro_rules! settings {
    ($($key:literal $flag:literal $env:literal $help:literal)*) => {
        &[$(Setting { key: $key, flag: $flag, env: $env, help: $help }),*]
    };
}

/// Every setting with a flag. Precedence: flag, environment, file, default.
pub const SETTINGS: &[Setting] = settings! {
    "server.host" "host" "PREHEAT_HOST" "Address that HTTP and gRPC listen on"
    "server.port" "port" "PREHEAT_PORT" "HTTP port; 0 takes any free one"
    "server.grpc_port" "grpc-port" "PREHEAT_GRPC_PORT" "gRPC port; 0 takes any free one"
    "server.admin" "admin" "PREHEAT_ADMIN" "Address of probes, metrics and admin routes"
    "server.max_body" "max-body" "PREHEAT_MAX_BODY" "Largest request body"
    "server.header_timeout" "header-timeout" "PREHEAT_HEADER_TIMEOUT" "Time for a request's head"
    "server.body_timeout" "body-timeout" "PREHEAT_BODY_TIMEOUT" "Time for a request's body"
    "server.idle_timeout" "idle-timeout" "PREHEAT_IDLE_TIMEOUT" "Time a connection may lie idle"
    "server.max_connections" "max-connections" "PREHEAT_MAX_CONNECTIONS" "Connections held at once"
    "server.health_is" "health-is" "PREHEAT_HEALTH_IS" "What /health means: live or ready"
    "auth.api_keys_file" "api-keys-file" "PREHEAT_API_KEYS_FILE" "File of API keys for data routes"
    "auth.admin_keys_file" "admin-keys-file" "PREHEAT_ADMIN_KEYS_FILE" "File of keys for admin routes"
    "auth.tls.cert" "tls-cert" "PREHEAT_TLS_CERT" "PEM certificate chain"
    "auth.tls.key" "tls-key" "PREHEAT_TLS_KEY" "PEM private key"
    "auth.tls.client_ca" "tls-client-ca" "PREHEAT_TLS_CLIENT_CA" "PEM authorities that must have signed clients"
    "limits.concurrency" "concurrency" "PREHEAT_CONCURRENCY" "Requests worked on at once"
    "limits.queue" "queue" "PREHEAT_QUEUE" "Requests that may wait on top"
    "limits.request_timeout" "request-timeout" "PREHEAT_REQUEST_TIMEOUT" "Deadline of a request"
    "limits.rate" "rate" "PREHEAT_RATE" "Requests a second for each key or client; 0: no limit"
    "limits.client_batch" "client-batch" "PREHEAT_CLIENT_BATCH" "Inputs in one request"
    "memory.limit" "memory-limit" "PREHEAT_MEMORY_LIMIT" "Memory limit, or auto"
    "memory.headroom" "memory-headroom" "PREHEAT_MEMORY_HEADROOM" "Share of memory that must stay free"
    "warmup.skip" "skip-warmup" "SKIP_WARMUP" "Serve without warm-up, reported as unproven"
    "warmup.rounds" "warmup-rounds" "PREHEAT_WARMUP_ROUNDS" "Rounds of each case on each instance at least; engines whose shapes keep no state need two of the usual three"
    "warmup.max_rounds" "warmup-max-rounds" "PREHEAT_WARMUP_MAX_ROUNDS" "Rounds of each case at most"
    "warmup.tolerance" "warmup-tolerance" "PREHEAT_WARMUP_TOLERANCE" "Spread that counts as settled"
    "warmup.max_first_ratio" "max-first-ratio" "PREHEAT_MAX_FIRST_RATIO" "First request as a multiple of steady"
    "warmup.slack" "warmup-slack" "PREHEAT_WARMUP_SLACK" "Latency differences that count as noise"
    "warmup.timeout" "warmup-timeout" "PREHEAT_WARMUP_TIMEOUT" "Time for warming and proving"
    "warmup.on_failure" "on-failure" "PREHEAT_ON_FAILURE" "hold, exit or retry"
    "warmup.unsettled" "unsettled" "PREHEAT_UNSETTLED" "degrade or fail"
    "keepwarm.mode" "keep-warm" "PREHEAT_KEEP_WARM" "Run hot shapes while nobody comes: on, advise or off"
    "keepwarm.idle" "keep-warm-idle" "PREHEAT_KEEP_WARM_IDLE" "After nobody came for this long"
    "keepwarm.every" "keep-warm-every" "PREHEAT_KEEP_WARM_EVERY" "Between two of these runs"
    "drift.mode" "drift" "PREHEAT_DRIFT" "Warm shapes that the plan did not cover: on, advise or off"
    "drain.delay" "drain-delay" "PREHEAT_DRAIN_DELAY" "Not ready, still accepting, for this long"
    "drain.timeout" "drain-timeout" "PREHEAT_DRAIN_TIMEOUT" "Time for what is in flight"
    "slo.p95" "slo" "PREHEAT_SLO" "The p95 that counts as in time"
    "fleet.min" "min" "PREHEAT_FLEET_MIN" "Gateway: replicas in rotation at least"
    "fleet.max" "max" "PREHEAT_FLEET_MAX" "Gateway: replicas at most"
    "fleet.concurrency" "replica-concurrency" "PREHEAT_REPLICA_CONCURRENCY" "Gateway: requests that a replica works on at once"
    "fleet.scaling" "scaling" "PREHEAT_SCALING" "Gateway: whether the load decides how many there are: on, advise or off"
    "fleet.spares" "spares" "PREHEAT_SPARES" "Gateway: proven replicas that stand by, or auto"
    "fleet.scale_to_zero" "scale-to-zero" "PREHEAT_SCALE_TO_ZERO" "Gateway: end the last replica of an idle service"
    "fleet.linger" "linger" "PREHEAT_LINGER" "Gateway: how long a service is idle before that"
    "fleet.hold" "hold" "PREHEAT_HOLD" "Gateway: how long requests wait when nothing is warm"
    "cache.dir" "cache-dir" "PREHEAT_CACHE_DIR" "Where models and artefacts are kept"
    "cache.artefacts_size" "artefacts-size" "PREHEAT_ARTEFACTS_SIZE" "Most bytes of artefacts; those used longest ago go first"
    "cache.offline" "offline" "PREHEAT_OFFLINE" "Never use the network"
    "cache.python" "python" "PREHEAT_PYTHON" "The Python whose pip fetches packages"
    "log.format" "log-format" "PREHEAT_LOG_FORMAT" "text or json"
    "log.level" "log-level" "RUST_LOG" "Log level, also per module"
    "log.otlp_endpoint" "otlp-endpoint" "OTEL_EXPORTER_OTLP_ENDPOINT" "Where traces go"
    "log.service_name" "service-name" "OTEL_SERVICE_NAME" "What traces call this service"
    "model.0.name" "name" "PREHEAT_MODEL_NAME" "What clients call the model"
    "model.0.source" "model" "PREHEAT_MODEL" "Where the model comes from"
    "model.0.sha256" "sha256" "PREHEAT_SHA256" "Expected SHA-256 of the weights"
    "model.0.engine" "engine" "PREHEAT_ENGINE" "auto, native, onnx, http or sim"
    "model.0.task" "task" "PREHEAT_TASK" "auto, embed, image or tensors"
    "model.0.device" "device" "PREHEAT_DEVICE" "auto, cpu or cuda"
    "model.0.dtype" "dtype" "PREHEAT_DTYPE" "f32, bf16 or int8"
    "model.0.isa" "isa" "PREHEAT_ISA" "auto, avx512, avx2, neon or portable"
    "model.0.instances" "instances" "PREHEAT_INSTANCES" "Execution contexts over one copy of the weights"
    "model.0.threads" "threads" "PREHEAT_THREADS" "Compute threads of each instance; 0: divide the CPUs"
    "model.0.load" "load" "PREHEAT_LOAD" "eager, lazy or balanced"
    "model.0.onnx.library" "onnx-library" "ORT_DYLIB_PATH" "Path of ONNX Runtime's library"
    "model.0.onnx.runtime" "onnx-runtime" "PREHEAT_ONNX_RUNTIME" "auto, library or rust"
    "model.0.http.url" "upstream" "PREHEAT_UPSTREAM" "Wrapped server: its address, if it has one of its own"
    "model.0.http.port_env" "port-env" "PREHEAT_PORT_ENV" "Wrapped server: the variable that tells it its port"
    "model.0.http.dir" "work-dir" "PREHEAT_WORK_DIR" "Wrapped server: where it is started"
    "model.0.http.ready" "ready-path" "PREHEAT_READY_PATH" "Wrapped server: the path that says it is ready"
    "model.0.http.preset" "preset" "PREHEAT_PRESET" "Wrapped server: openai, oip, tei or preheat"
    "model.0.http.path" "warm-path" "PREHEAT_WARM_PATH" "Wrapped server: where requests of the plan go"
    "model.0.http.start_timeout" "start-timeout" "PREHEAT_START_TIMEOUT" "Wrapped server: time until it says it is ready"
    "model.0.http.stop_timeout" "stop-timeout" "PREHEAT_STOP_TIMEOUT" "Wrapped server: time to end by itself"
    "model.0.http.pure" "pure" "PREHEAT_PURE" "Wrapped server: unanswered requests may be sent again"
    "model.0.batching.max_batch" "max-batch" "PREHEAT_MAX_BATCH" "Rows in one batch"
    "model.0.batching.max_tokens" "max-tokens" "PREHEAT_MAX_TOKENS" "Tokens in one batch"
    "model.0.batching.max_delay" "max-delay" "PREHEAT_MAX_DELAY" "Wait for rows being prepared"
};

/// Variables of other systems that are honoured besides the table.
pub mod env {
    /// What all variables of ours begin with.
    pub const PREFIX: &str = "PREHEAT_";
    pub const CONFIG: &str = "PREHEAT_CONFIG";
    /// For verbs that ask a server.
    pub const URL: &str = "PREHEAT_URL";
    pub const API_KEY: &str = "PREHEAT_API_KEY";
    pub const HF_TOKEN: &str = "HF_TOKEN";
    pub const HF_HOME: &str = "HF_HOME";
    pub const HF_ENDPOINT: &str = "HF_ENDPOINT";
    pub const HF_HUB_OFFLINE: &str = "HF_HUB_OFFLINE";
    pub const NO_COLOR: &str = "NO_COLOR";
    /// Read by ONNX Runtime, set by us where it is not set.
    pub const ORT_DISABLE_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";
    pub const XDG_CACHE_HOME: &str = "XDG_CACHE_HOME";
    pub const HOME: &str = "HOME";
    /// Every variable of this prefix goes to the object store client.
    pub const AWS_PREFIX: &str = "AWS_";
    pub const GOOGLE_PREFIX: &str = "GOOGLE_";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::Config;

    #[test]
    fn every_setting_is_a_key_of_the_configuration_and_named_once() {
        let config = Config {
            model: vec![crate::config::Model::default()],
            ..Config::default()
        };
        let tree = serde_json::to_value(config).unwrap();
        let mut seen = HashSet::new();
        for setting in SETTINGS {
            let pointer = format!("/{}", setting.key.replace('.', "/"));
            assert!(
                tree.pointer(&pointer).is_some(),
                "{} is not a key",
                setting.key
            );
            for name in [setting.key, setting.flag, setting.env] {
                assert!(seen.insert(name), "{name} stands twice");
            }
        }
    }
}
