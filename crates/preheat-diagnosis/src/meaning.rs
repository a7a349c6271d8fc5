//! What counts as a cause and what does not, where its title leaves that open.

use super::Cause;

impl Cause {
    /// In a sentence or two, for people; empty where the title says all.
    #[must_use]
    pub const fn counts(self) -> &'static str {
        match self {
            Cause::LoadFailure => {
                "Of programs that serve a model, as every cause; others have none. Where a more exact reason is told (memory, a warm-up that fails, a time-out, a device), only that reason counts. A part that may be absent, and a failure after which the server answers requests all the same, are none."
            }
            Cause::OutOfMemory => {
                "Memory of the device, the process or the container. In a warm-up it is this alone. If a request had asked for the load, that the model is loaded by it counts too, and if several workers had loaded, so do they."
            }
            Cause::WarmupFailed => {
                "Also checks by other names that are run before readiness: self-tests, dry runs, known answers."
            }
            Cause::WorkerTimeout => {
                "Whatever manages processes: gunicorn's time-out, uWSGI's harakiri, TorchServe's worker that does not respond in time, systemd's `TimeoutStartSec`, a server's own limit for its start (hypercorn, sanic), a supervisor of one's own. One that had served before was at its work, and not at its start."
            }
            Cause::LivenessKills => {
                "Also where somebody else restarts or replaces what is unhealthy: health checks of ECS and of load balancers, autoheal for Docker, monit, a watchdog of one's own."
            }
            Cause::ProbeWindow => {
                "Also start limits of platforms that ask a port, and a deployment that asks for readiness for a while and gives up. The deadline of a whole rollout (`ProgressDeadlineExceeded`) names no reason and does not count by itself."
            }
            Cause::ConnectionRefused => {
                "Stands beside the probe that ends the container where both are told: one says who waits in vain, the other who ends it. A proxy that tells of the refusal counts; a probe that times out is refused by nobody, and who has ended for good no longer loads."
            }
            Cause::Unschedulable => "A scale-up that was triggered and brought a node is none.",
            Cause::DeviceFallback => {
                "Also where the start fails for want of it. A device that nobody asked for is not missed."
            }
            Cause::ReadyTooEarly => {
                "A claim is a message that says ready or serving (`celery@host ready.`, `Application 'embed' is ready`), or a readiness probe that was answered 200 (a path that says so, or the one that the pod's own probe names); an open port (`listening on`, `running on`) is none, nor is a framework's own start that is over (`Application startup complete`), nor a part that is ready. It counts wherever a claim stands before work that a request then waited for, before first requests that were slow, or before requests that are told that the model is not there. A claim after a warm-up is not made early by a length or shape that comes later and was not warmed."
            }
            Cause::WarmupSkipped => {
                "In a manifest alone, too. Lines that a shape was not warmed follow from it and are no finding of their own."
            }
            Cause::Kernels => {
                "Whatever is compiled or captured for the device or the processor: CUDA and Triton kernels, graphs, XLA, TensorRT engines, numba."
            }
            Cause::UncoveredLength => {
                "Only where something was warmed, and the request lies outside of it."
            }
            Cause::Recompiled => {
                "A compile for a shape that differs from those compiled or served before it; the first compile that a request waits for is one of kernels. It stands beside the length where something was warmed."
            }
            Cause::WarmedByTraffic => {
                "Needs times of steady requests to hold the first ones against; it then stands beside the causes that say where the time went. The first requests are those after the start; the first one of a length or shape that comes later is one of that length."
            }
            Cause::CpuLimit => {
                "Also a number of threads set by hand above the limit; a manifest alone shows it."
            }
            Cause::DownloadAtStart => {
                "Also by an init container into a volume that goes with the pod. What was denied or not found took nothing: that is a load that failed, and no download."
            }
            Cause::ColdPageCache => {
                "Whether or not somebody is seen to wait; from a mount of the network as well."
            }
            Cause::ImagePullTime => "From ten seconds on, whoever waits.",
            Cause::DoubleLoadWorkers => {
                "Several processes of one server; parts of one model on several devices are one load."
            }
            Cause::WeightsAtStart | Cause::TokenizerAtStart => {
                "Only where somebody pays for it: a request that waited until there was a replica, or a first request that is slow for another cause, even if this load was over before it came; from half a second on. Whoever is told that the model is not there waits for nothing. A start that is timed and well is none."
            }
            _ => "",
        }
    }
}
