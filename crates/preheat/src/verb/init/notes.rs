//! What the files do not hold of what was measured.

use preheat_api::ReadinessReport;
use preheat_api::report::EngineReport;

use super::figures::ONNX_ENGINE;

/// A sentence for each.
pub fn of(reports: &[ReadinessReport]) -> Vec<&'static str> {
    let models = reports.iter().flat_map(|report| &report.models);
    let engines = models.filter_map(|model| model.engine.as_ref());
    let mut notes: Vec<_> = engines.filter_map(note).collect();
    notes.sort_unstable();
    notes.dedup();
    notes
}

fn note(engine: &EngineReport) -> Option<&'static str> {
    if engine.simulated {
        return Some(
            "note: the sim engine declares its times, and so these figures are no measurement",
        );
    }
    match engine.name.as_str() {
        "http" => Some(
            "note: a wrapped server was measured, and these files serve a model of preheat's own: put \
             your server into the image, and `wrap`, its plan and its command into args",
        ),
        name if name.starts_with("onnx-") && name != ONNX_ENGINE => Some(
            "note: it was measured on ONNX Runtime on a device, and the image has none: put its library into \
             the image and its path into ORT_DYLIB_PATH",
        ),
        _ => None,
    }
}
