//! Texts, token ids and vectors of the default model as its authors' library computes them.

use serde_json::Value;

/// Largest difference of one number. A different kernel rounds differently; a mistake is larger.
const TOLERANCE: f32 = 1e-4;

#[derive(Debug)]
pub struct Reference {
    pub texts: Vec<String>,
    pub token_ids: Vec<Vec<u32>>,
    pub vectors: Vec<Vec<f32>>,
}

pub const PATH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/reference_embeddings.json"
);

pub fn reference() -> Reference {
    let data: Value = serde_json::from_str(include_str!("../data/reference_embeddings.json"))
        .expect("the reference is JSON");
    let part = |name: &str| data[name].clone();
    Reference {
        texts: serde_json::from_value(part("texts")).unwrap(),
        token_ids: serde_json::from_value(part("token_ids")).unwrap(),
        vectors: vectors(&part("vectors")),
    }
}

impl Reference {
    /// Fails unless the vectors are the reference's, row by row.
    #[track_caller]
    pub fn check(&self, vectors: &[Vec<f32>]) {
        assert_eq!(vectors.len(), self.vectors.len(), "rows");
        for (row, (ours, theirs)) in vectors.iter().zip(&self.vectors).enumerate() {
            assert_eq!(ours.len(), theirs.len(), "dimensions of row {row}");
            let off = ours
                .iter()
                .zip(theirs)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(off < TOLERANCE, "row {row} is off by {off}");
        }
    }
}

pub fn vectors(value: &Value) -> Vec<Vec<f32>> {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}
