//! Values of Helm charts: containers without the manifest around them.

use serde_json::Value;

use super::{Place, container_of, text};
use crate::Container;

/// Sections within sections that are looked through.
const DEPTH: u32 = 4;

/// Containers of one file.
const MOST: usize = 64;

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// Whether a text may be such values: it tells of probes.
pub(super) fn may_be(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_start);
    lines.any(|line| {
        PROBES.iter().any(|probe| {
            line.strip_prefix(probe)
                .is_some_and(|rest| rest.starts_with(':'))
        })
    })
}

/// Every section that tells of an image and of probes.
pub(super) fn containers(value: &Value, place: &Place<'_>, depth: u32, all: &mut Vec<Container>) {
    let Some(section) = value.as_object().filter(|_| all.len() < MOST) else {
        return;
    };
    if section.contains_key("image") && PROBES.iter().any(|probe| section.contains_key(*probe)) {
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
