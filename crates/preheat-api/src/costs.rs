//! The stages of a cold start: what each is, what it usually takes elsewhere, and what makes it short.
//!
//! The one table that the dashboard, the book and their tests read. Times are rules of thumb for a
//! model server that takes no care of its start; none of them was measured by us. What was measured
//! comes from a replica's own report.

use serde::Serialize;

/// One stage, whoever runs it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StageCost {
    /// As people call it.
    pub stage: &'static str,
    /// What the stages of our own waterfall that belong to it begin with. Empty: not ours to see.
    pub ours: &'static [&'static str],
    /// From and to, in seconds.
    pub typical: [f64; 2],
    /// What happens in it.
    pub about: &'static str,
    /// What makes it short, or moves it before the first request.
    pub cure: &'static str,
}

/// In the order of a start.
pub const STAGES: &[StageCost] = &[
    StageCost {
        stage: "image pull",
        ours: &[],
        typical: [5.0, 120.0],
        about: "The node fetches and unpacks the container image.",
        cure: "A small image, weights in a volume or a layer of their own, images pulled before they are needed.",
    },
    StageCost {
        stage: "process start",
        ours: &["start"],
        typical: [0.01, 10.0],
        about: "From exec until the sockets are bound; importing a Python framework takes seconds.",
        cure: "Bind the sockets first, import and load afterwards.",
    },
    StageCost {
        stage: "model fetch",
        ours: &["fetch"],
        typical: [1.0, 600.0],
        about: "Finding the model in the cache, or fetching it over the network.",
        cure: "Bake the model into an image or a volume, and start offline.",
    },
    StageCost {
        stage: "weights",
        ours: &["config", "weights", "checksum"],
        typical: [0.5, 60.0],
        about: "Reading or mapping the weights. From a cold page cache this is the speed of the disk.",
        cure: "Map files instead of copying them; a format without pickles; a local disk.",
    },
    StageCost {
        stage: "tokenizer",
        ours: &["tokenizer"],
        typical: [0.1, 2.0],
        about: "Reading and building the vocabulary.",
        cure: "Load it beside the weights, not after them, and never in the first request.",
    },
    StageCost {
        stage: "engine",
        ours: &["engine"],
        typical: [0.05, 300.0],
        about: "Packing weights for this processor, or compiling the graph.",
        cure: "Keep what was compiled: an artefact store, TORCHINDUCTOR_CACHE_DIR, a TensorRT engine cache.",
    },
    StageCost {
        stage: "device context",
        ours: &["device"],
        typical: [0.3, 3.0],
        about: "The CUDA context and its libraries. Lazy by default, so the first request pays.",
        cure: "Run something on the device before readiness.",
    },
    StageCost {
        stage: "warm-up",
        ours: &["warm "],
        typical: [0.1, 60.0],
        about: "First runs of each shape: kernels are chosen or compiled, memory is allocated.",
        cure: "A plan with the shapes that traffic has, and no others.",
    },
    StageCost {
        stage: "proof",
        ours: &["prove"],
        typical: [0.0, 0.0],
        about: "Every case again through HTTP and gRPC on fresh connections, overlap and memory. Others do not have it.",
        cure: "Fewer cases; it ends as soon as latency has settled.",
    },
    StageCost {
        stage: "first request",
        ours: &["first_request"],
        typical: [0.2, 30.0],
        about: "What the first user waits for. Without a warm-up everything lazy ends up here.",
        cure: "All of the above before readiness.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_of_a_measured_start_belongs_to_one_row() {
        let report = include_str!("../../../deploy/report.json");
        let report: crate::ReadinessReport = serde_json::from_str(report).unwrap();
        for span in &report.models[0].waterfall {
            let rows = STAGES.iter().filter(|row| {
                let mut ours = row.ours.iter();
                ours.any(|name| span.stage.starts_with(name))
            });
            assert_eq!(rows.count(), 1, "{}", span.stage);
        }
    }
}
