//! Figures follow what was measured; files have nothing left to fill in.

use proptest::prelude::*;

use super::*;

fn figures(start_s: f64, peak_bytes: u64) -> Figures {
    Figures {
        start_s: Some(start_s),
        peak_bytes: Some(peak_bytes),
        steady_ms: Some(8.0),
        ..Figures::default()
    }
}

fn names() -> Names {
    Names::checked(
        "embedder",
        "registry.example/embedder:1",
        "/models/embedder",
    )
    .unwrap()
}

proptest! {
    #[test]
    fn the_startup_window_is_three_starts_and_grows_with_them(start in 0.01_f64..20_000.0, more in 0.0_f64..1_000.0) {
        let window = |start: f64| 2.0 * figures(start, 1).startup_threshold() as f64;
        prop_assert!(window(start) >= 3.0 * start && window(start) < 3.0 * start + 2.0 + 1e-6);
        prop_assert!(window(start + more) >= window(start));
    }

    #[test]
    fn the_peak_takes_at_most_four_fifths_of_the_limit(peak in 1_u64..(1 << 42)) {
        let limit = (figures(1.0, peak).memory_mi() << 20) as f64;
        prop_assert!(peak as f64 <= 0.8 * limit + 1.0 && peak as f64 > 0.8 * (limit - 1048577.0));
    }
}

#[test]
fn nothing_is_left_to_fill_in() {
    for figures in [figures(3.2, 400 << 20), Figures::default()] {
        for (path, text) in files(&names(), &figures) {
            let left = text
                .split('@')
                .nth(1)
                .filter(|word| !word.contains([' ', '\n']));
            assert_eq!(left, None, "{path}");
        }
    }
}

#[test]
fn names_that_would_break_a_file_are_refused() {
    for (name, image, model) in [
        ("Up", "i", "m"),
        ("a b", "i", "m"),
        ("a", "i\"", "m"),
        ("a", "i", "m\nx"),
        ("", "i", "m"),
        ("a-", "i", "m"),
    ] {
        assert!(
            Names::checked(name, image, model).is_err(),
            "{name} {image} {model}"
        );
    }
}
