//! Answers to the same request, held against each other.

use serde_json::{Value, json};

use crate::prove::exceeds;

/// How far two JSON answers are apart: the largest difference of two numbers in the same place, and
/// infinite where anything else differs. Places in `except` do not count.
#[must_use]
pub fn difference(a: &Value, b: &Value, except: &[String]) -> f32 {
    let mut most = 0.0;
    walk(a, b, &mut String::new(), &mut |place, off| {
        if !except.iter().any(|known| known == place) && exceeds(off, most) {
            most = off;
        }
    });
    most
}

/// Where two answers to the same request differ by more than `tolerance`: times, ids, dice.
#[must_use]
pub fn varying(a: &Value, b: &Value, tolerance: f32) -> Vec<String> {
    let mut places = Vec::new();
    walk(a, b, &mut String::new(), &mut |place, off| {
        if exceeds(off, tolerance) {
            places.push(place.to_owned());
        }
    });
    places
}

fn walk(a: &Value, b: &Value, place: &mut String, told: &mut impl FnMut(&str, f32)) {
    let end = place.len();
    match (a, b) {
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            for (at, (x, y)) in x.iter().zip(y).enumerate() {
                place.push_str(&format!("/{at}"));
                walk(x, y, place, told);
                place.truncate(end);
            }
        }
        (Value::Object(x), Value::Object(y)) if x.keys().eq(y.keys()) => {
            for ((key, x), y) in x.iter().zip(y.values()) {
                place.push_str(&format!("/{key}"));
                walk(x, y, place, told);
                place.truncate(end);
            }
        }
        (Value::Number(x), Value::Number(y)) => {
            let number = |x: &serde_json::Number| x.as_f64().unwrap_or(f64::NAN);
            told(place, (number(x) - number(y)).abs() as f32);
        }
        (x, y) if x == y => {}
        _ => told(place, f32::INFINITY),
    }
}

/// An answer as something that can be compared: what is no JSON is one text.
#[must_use]
pub fn comparable(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_by_itself_is_not_compared() {
        let (a, b) = (
            json!({ "id": "x", "v": [1.0, 2.0] }),
            json!({ "id": "y", "v": [1.0, 2.0] }),
        );
        let except = varying(&a, &b, 1e-4);
        assert_eq!(except, ["/id"]);
        let c = json!({ "id": "z", "v": [1.0, 2.5] });
        assert!((difference(&a, &c, &except) - 0.5).abs() < 1e-6);
        let shorter = json!({ "id": "z", "v": [1.0] });
        assert!(difference(&a, &shorter, &except).is_infinite());
    }
}
