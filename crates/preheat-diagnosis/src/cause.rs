//! The causes that diagnosis knows: what each is called, when it is paid for, and what to change.

/// When the time that a cause costs is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paid {
    /// By the first request, or the first of its kind.
    ByFirstRequest,
    /// Before the replica serves.
    AtStart,
    /// Not in time: the replica does not come up, or not in the way that was meant.
    Otherwise,
}

/// What is known of a cause before any log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    pub id: &'static str,
    pub title: &'static str,
    pub paid: Paid,
    pub change: &'static str,
}

macro_rules! causes {
    ($($name:ident $id:literal $paid:ident $title:literal $change:literal)*) => {
        /// One cause of a slow first request or of a start that failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause { $($name),* }

        impl Cause {
            pub const ALL: &'static [Cause] = &[$(Cause::$name),*];

            #[must_use]
            pub const fn about(self) -> About {
                match self {
                    $(Cause::$name => About {
                        id: $id, title: $title, paid: Paid::$paid, change: $change,
                    }),*
                }
            }
        }
    };
}

// In the order in which findings are shown: what keeps a replica from serving, what the first
// request pays, what the start pays.
causes! {
    LoadFailure "load-failure" Otherwise
        "the model does not load"
        "Correct what the error names (file, revision, package, format) and check it before the rollout: load the model once in the image's build or in CI, as `preheat warm MODEL` does."
    OutOfMemory "out-of-memory" Otherwise
        "memory runs out while the model loads or warms"
        "Raise the memory limit to the peak of a full warm-up plus 20 %, or lower the largest batch; load the weights once and map them from their file instead of copying them."
    WarmupFailed "warm-up-failed" Otherwise
        "warm-up or its proof failed"
        "Look at the case or check that is named: correct the plan, the expected output or the limits, and run `preheat warm MODEL` until it passes."
    ForkAfterCuda "fork-after-cuda" Otherwise
        "worker processes were forked after CUDA had been initialised"
        "Start the workers by spawn instead of fork, or touch CUDA only inside each worker: move the model's load out of the module and into the worker's start."
    WorkerTimeout "worker-timeout-while-loading" Otherwise
        "the process manager kills a worker that is still loading or in its first run"
        "Give the manager's time-out (gunicorn --timeout) at least three times the measured start, and load in the worker's start instead of in the first request."
    LivenessKills "liveness-kills-loading" Otherwise
        "the liveness probe kills a container that is still loading"
        "Add a startup probe whose window is three times the measured start, let liveness begin after it, and let liveness ask only whether the process lives."
    ProbeWindow "probe-window-too-short" Otherwise
        "the startup probe gives up before the start is over"
        "Set failureThreshold so that period times threshold is three times the measured start (`preheat init --from` computes it)."
    ConnectionRefused "connection-refused-while-loading" Otherwise
        "nobody listens while the model loads, so probes and clients are refused"
        "Bind the socket before the slow work and answer 503 with the reason until warm (`preheat wrap` does so for any server), and use a startup probe that covers the load."
    ImagePull "image-not-pulled" Otherwise
        "the image cannot be pulled"
        "Correct the image's name, tag or pull secret, and pull it on the nodes before the rollout."
    Unschedulable "unschedulable" Otherwise
        "no node has room for the replica"
        "Lower the requests to what was measured, add nodes with the resource that is missing, or free it; keep a warm spare so that nobody waits for it."
    AddressInUse "address-in-use" Otherwise
        "another process holds the port"
        "End the process that holds the port or choose another port; start the model only once per port."
    DeviceFallback "device-fallback" Otherwise
        "the accelerator that was asked for is not used"
        "Install the runtime's build for the device and its libraries, ask for the device in the pod's resources, and let the start fail when it is absent."
    ReadyTooEarly "readiness-too-early" ByFirstRequest
        "readiness is claimed before the model is loaded and warm"
        "Let readiness follow a completed warm-up: load and run every planned shape first, then answer 200 (`preheat serve` or `preheat wrap` gate on that proof)."
    WarmupSkipped "warm-up-skipped" ByFirstRequest
        "warm-up is switched off"
        "Remove the switch (SKIP_WARMUP, --skip-warmup and the like) and run the warm-up plan before readiness."
    LazyModel "model-loaded-at-first-request" ByFirstRequest
        "the model is loaded by the first request"
        "Load the model in the server's start (lifespan or worker start) and answer readiness only after it."
    LazyTokenizer "tokenizer-at-first-request" ByFirstRequest
        "the tokenizer is first used, or loaded, by the first request"
        "Load the tokenizer at start, beside the weights, and let warm-up send texts instead of ready-made tensors so that the tokenizer runs too."
    CudaContext "cuda-context-at-first-request" ByFirstRequest
        "the device's context is created by the first request"
        "Create the context at start: move the model to the device and run one forward pass before readiness."
    Kernels "kernel-compilation-at-first-request" ByFirstRequest
        "kernels or graphs are compiled by the first request"
        "Run every planned shape before readiness, and keep the compiler's cache on a volume so that a start finds it."
    UncoveredLength "length-not-warmed" ByFirstRequest
        "requests have lengths or shapes that warm-up did not cover"
        "Add a warm-up case for each shape bucket up to the longest that is served (`preheat plan` derives them from traffic), or pad to warmed buckets."
    Recompiled "recompilation-on-new-shape" ByFirstRequest
        "new input shapes make the framework compile again"
        "Pad inputs to a few fixed buckets, or compile with dynamic shapes, and warm each bucket before readiness."
    WarmedByTraffic "warmed-by-traffic" ByFirstRequest
        "the first requests are much slower than steady ones: users do the warm-up"
        "Run the plan of expected shapes through the front door before readiness until latency has settled (`preheat probe` measures first against steady and is a gate)."
    CpuLimit "cpu-limit-ignored" ByFirstRequest
        "thread pools are sized by the machine, not by the CPU limit"
        "Set OMP_NUM_THREADS, MKL_NUM_THREADS and the runtime's intra-op threads to the CPU limit, so that threads do not throttle each other."
    TokenizerFork "fork-after-tokenizer" Otherwise
        "the process was forked after the tokenizer's threads had started"
        "Fork before the tokenizer is first used, or start workers by spawn; setting TOKENIZERS_PARALLELISM only hides the warning."
    DownloadAtStart "download-at-start" AtStart
        "weights are downloaded when the replica starts"
        "Put the weights into the image or on a volume that outlives the pod, and forbid downloads in production (HF_HUB_OFFLINE=1)."
    ImagePullTime "slow-image-pull" AtStart
        "the image is pulled when the replica starts"
        "Pull the image on every node beforehand, and make it smaller: leave out build tools and unused device libraries."
    ColdPageCache "page-cache-cold" AtStart
        "weights are read from disk because the page cache is cold"
        "Read the weights ahead on the node where replicas land, keep a warm spare there, and map the file so that replicas of one node share it."
    DoubleLoadReloader "double-load-by-reloader" AtStart
        "a development reloader runs beside the server and loads the model again"
        "Start without --reload (debug mode) wherever the model matters."
    DoubleLoadWorkers "double-load-by-workers" AtStart
        "every worker process loads the model for itself"
        "Load once before the fork (gunicorn --preload, on CPU) or serve from one process with a batcher, and scale by replicas."
    WeightsAtStart "weights-at-start" AtStart
        "weights take their time at start"
        "Keep this time out of the users' way: load before readiness, map the weights from a file on a local disk, and hold a warm spare for bursts."
    TokenizerAtStart "tokenizer-at-start" AtStart
        "the tokenizer takes its time at start"
        "Load it beside the weights instead of after them, from a prebuilt tokenizer.json."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_every_cause_says_what_to_change() {
        let mut ids: Vec<_> = Cause::ALL.iter().map(|cause| cause.about().id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Cause::ALL.len());
        for cause in Cause::ALL {
            let about = cause.about();
            assert!(
                about.change.ends_with('.') && !about.title.ends_with('.'),
                "{about:?}"
            );
        }
    }
}
