//! The names of all metrics. Base units, `_total` on counters, few labels.

/// A metric as the reference page lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The name as scraped.
    pub name: &'static str,
    pub help: &'static str,
}

impl Metric {
    /// The name as registered: the text format appends `_total` to counters by itself.
    #[must_use]
    pub fn family(&self) -> &'static str {
        self.name.strip_suffix("_total").unwrap_or(self.name)
    }
}

macro_rules! metrics {
    ($($konst:ident $name:literal $help:literal)*) => {
        $(pub const $konst: Metric = Metric { name: $name, help: $help };)*
        /// Every metric, in the order of the reference page.
        pub const ALL: &[Metric] = &[$($konst),*];
    };
}

metrics! {
    BUILD_INFO "preheat_build_info" "Always 1; the version is a label"
    REPLICA_PHASE "preheat_replica_phase" "1 for the phase the replica is in, 0 for the others"
    STAGE_SECONDS "preheat_stage_seconds" "Time that a stage of the cold start took"
    TIME_TO_READY_SECONDS "preheat_time_to_ready_seconds" "From process start to ready"
    WARMUP_FIRST_SECONDS "preheat_warmup_first_seconds" "First run of a warm-up case, the slowest instance"
    WARMUP_STEADY_SECONDS "preheat_warmup_steady_seconds" "Steady run of a warm-up case"
    WARMUP_RATIO "preheat_warmup_first_to_steady_ratio" "First run of a case divided by its steady run"
    PROOF_FAILURES "preheat_proof_failures_total" "Checks that a proof attempt missed"
    COLD_REQUESTS "preheat_cold_requests_total" "Real requests that met an unwarmed shape, instance, replica or tokenizer"
    UNPLANNED_SHAPE "preheat_unplanned_shape_total" "Batches of a shape that the plan did not cover"
    KEEPWARM_RUNS "preheat_keepwarm_runs_total" "Passes over the hot shapes while nobody came"
    REQUESTS "preheat_requests_total" "Requests answered, by route and status"
    REQUEST_SECONDS "preheat_request_seconds" "From the request's head to the head of its answer"
    QUEUE_SECONDS "preheat_queue_seconds" "Time that a request's rows waited for an instance"
    INFERENCE_SECONDS "preheat_inference_seconds" "Time that a batch took on an instance"
    BATCH_SIZE "preheat_batch_size" "Rows in a batch"
    QUEUE_DEPTH "preheat_queue_depth" "Rows that wait now"
    INFLIGHT "preheat_inflight" "Requests being worked on now"
    REJECTED "preheat_rejected_total" "Requests that were in order and turned away, by reason"
    CONNECTIONS "preheat_connections" "Open connections"
    CONNECTIONS_CLOSED "preheat_connections_closed_total" "Connections that the replica closed or refused, by reason"
    MEMORY_BYTES "preheat_memory_bytes" "Memory: resident, peak and limit"
    REPLICAS "preheat_replicas" "Gateway: replicas of a service, by phase and role"
    DESIRED_REPLICAS "preheat_desired_replicas" "Gateway: replicas that are wanted in rotation"
    CAPACITY_RPS "preheat_capacity_rps" "Gateway: requests a second that one replica carries under the objective"
    HOLD_SECONDS "preheat_hold_seconds" "Gateway: time that a request waited for a replica"
    HELD "preheat_held" "Gateway: requests that wait for a replica now"
    PROMOTION_SECONDS "preheat_promotion_seconds" "Gateway: from the request that found every permit taken to a spare in rotation"
    ROLLOUTS "preheat_rollouts_total" "Gateway: rollouts that ended, by result: promoted, rolled_back or refused"
    RETRIES "preheat_retries_total" "Gateway: requests that were sent to another replica, by what befell the first"
    FAILURES "preheat_replica_failures_total" "Gateway: requests that a replica failed, by how, whether or not another one answered them"
    DRAIN_CUT "preheat_drain_cut_requests_total" "Requests that a drain had to cut"
}
