//! Whatever comes in, nothing panics, and evidence points at lines that exist.

use proptest::prelude::*;

use preheat_diagnosis::{Diagnosis, input};

/// Pieces of real lines between noise: what reaches furthest into the rules.
const PIECES: [&str; 16] = [
    "first request",
    "weights loaded in",
    "1.8 s",
    "99999999999999999999 ms",
    "p95",
    "steady 1 ms",
    "sequence length 512",
    "warm-up 128",
    "{\"ts\":1,\"msg\":\"",
    "}",
    "\u{1b}[31m",
    "2026-13-99T99:99:99.999999999999Z ",
    "POST /embed HTTP/1.1\" 200",
    "kind: Pod\nspec:\n  containers:\n  - ",
    "Containers:\n  é:\n    Liveness: http-get delay=9s period=9s #failure=9",
    "Started server process",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn noise_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        check(&bytes)?;
    }

    #[test]
    fn pieces_of_logs_are_read_without_harm(pieces in proptest::collection::vec((0..PIECES.len(), ".{0,6}"), 0..60)) {
        let text: String = pieces.iter().map(|(piece, glue)| format!("{}{glue}", PIECES[*piece])).collect();
        check(text.as_bytes())?;
    }
}

fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut diagnosis = Diagnosis::new();
    prop_assert!(input::read("noise.yaml", bytes, &mut diagnosis).is_ok());
    let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    for finding in diagnosis.report().findings {
        prop_assert!((0.0..=1.0).contains(&finding.confidence));
        prop_assert!(finding.cost_ms.is_none_or(|ms| ms.is_finite() && ms >= 0.0));
        prop_assert!(
            finding
                .evidence
                .iter()
                .all(|e| e.line >= 1 && e.line <= lines)
        );
    }
    Ok(())
}
