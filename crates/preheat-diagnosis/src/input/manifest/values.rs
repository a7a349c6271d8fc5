//! Values of Helm charts: containers without the manifest around them.

use serde_json::{Map, Value};

use super::{Place, container_of, has_lasting_volume, text};
use crate::Container;

/// Sections within sections that are looked through.
const DEPTH: u32 = 4;

/// Containers of one file.
const MOST: usize = 64;

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// Whether a text may be such values: it tells of probes, or of limits.
pub(super) fn may_be(text: &str) -> bool {
    let has = |key: &str| {
        let mut lines = text.lines().map(str::trim_start);
        lines.any(|line| {
            line.strip_prefix(key)
                .is_some_and(|rest| rest.starts_with(':'))
        })
    };
    PROBES.into_iter().any(has) || (has("image") && has("resources"))
}

/// Whether a section is a container's.
fn is_one(section: &Map<String, Value>) -> bool {
    let has = |key: &&str| section.contains_key(*key);
    has(&"image") && (PROBES.iter().any(has) || has(&"resources"))
}

/// Every section that is a container's.
pub(super) fn containers(value: &Value, place: &Place<'_>, depth: u32, all: &mut Vec<Container>) {
    let Some(section) = value.as_object().filter(|_| all.len() < MOST) else {
        return;
    };
    if is_one(section) {
        let first = value["initContainers"].as_array().into_iter().flatten();
        all.extend(first.take(MOST).map(|container| Container {
            is_init: true,
            has_lasting_volume: has_lasting_volume(value, container),
            ..container_of(container, place)
        }));
        let image = &value["image"];
        let read = container_of(value, place);
        all.push(Container {
            image: text(match image["repository"].is_string() {
                true => &image["repository"],
                false => image,
            }),
            // What the values leave out may stand in the chart.
            is_served: read.readiness.is_some(),
            has_lasting_volume: true,
            ..read
        });
    } else if depth < DEPTH {
        for inner in section.values() {
            containers(inner, place, depth + 1, all);
        }
    }
}
