//! A device that is not there is missed where somebody asked for one. That a program looked for one and
//! found none says nothing yet.

use super::cause::Cause;
use super::line::Parsed;
use super::line::list::List;
use super::line::wording::{tells_an_error, warns};
use super::{Diagnosis, Evidence};

/// Texts and lines that are kept.
const KEPT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Devices {
    /// Texts in which somebody asks for one.
    asked: Vec<String>,
    /// Texts in which somebody says first that the processor is to compute.
    spared: Vec<String>,
    /// Where none was found.
    absent: Vec<(f64, Evidence)>,
}

impl Devices {
    pub(super) fn asked(&mut self, source: &str) {
        if self.asked.len() < KEPT && !self.asked.iter().any(|known| known == source) {
            self.asked.push(source.to_owned());
        }
    }

    pub(super) fn spared(&mut self, source: &str) {
        let is_known = self.is_spared(source) || self.asked.iter().any(|known| known == source);
        if self.spared.len() < KEPT && !is_known {
            self.spared.push(source.to_owned());
        }
    }

    /// Whether nobody misses a device there.
    pub(super) fn is_spared(&self, source: &str) -> bool {
        let is_of = |texts: &[String]| texts.iter().any(|known| known == source);
        is_of(&self.spared) && !is_of(&self.asked)
    }

    pub(super) fn absent(&mut self, confidence: f64, evidence: &Evidence) {
        if self.absent.len() < KEPT {
            self.absent.push((confidence, evidence.clone()));
        }
    }
}

/// Whether a line merely remarks that there is none: nothing is wrong by its level, and nothing is done
/// for it.
pub(super) fn is_mere(line: &Parsed<'_>) -> bool {
    const DONE: [&str; 6] = ["cpu", "processor", "instead", "fall", "ignored", "slow"];
    let is_info = ["info", "level=info", "debug", "level=debug", "i "]
        .iter()
        .any(|level| line.text.starts_with(level))
        || line.text.contains(" level=info")
        || line.text.contains(" info ");
    // Where layers are put is said whatever was asked for.
    line.text.contains("offload") && line.text.contains("layers")
        || is_info
            && !warns(line.text)
            && !tells_an_error(line.text)
            && !DONE.iter().any(|word| line.text.contains(word))
}

/// Whether somebody wants it so.
pub(super) fn is_wanted(text: &str) -> bool {
    const WANTED: [&str; 34] = [
        "as requested",
        "as configured",
        "as planned",
        "as intended",
        "as expected",
        "by design",
        "by choice",
        "on purpose",
        "deliberately",
        "not requested",
        "nobody asked",
        "(from config",
        "(config",
        "(by config",
        "by config",
        "configured so",
        "set in config",
        "none wanted",
        "not wanted",
        "none asked",
        "not asked for",
        "nobody wants",
        "none needed",
        "not needed",
        "none expected",
        "no accelerator expected",
        "no gpu expected",
        "no gpu needed",
        "no gpu wanted",
        "is fine",
        "all right",
        "cpu only deployment",
        "cpu only service",
        "cpu only build",
    ];
    static LIST: List = List::new(&[&WANTED]);
    LIST.begins_in(text)
}

impl Diagnosis {
    pub(super) fn miss_devices(&mut self) {
        let Devices { asked, absent, .. } = std::mem::take(&mut self.devices);
        for (confidence, evidence) in absent {
            let is_missed = asked.contains(&evidence.source)
                || self
                    .seen
                    .get(&Cause::DeviceFallback)
                    .is_some_and(|seen| seen.evidence.iter().any(|e| e.source == evidence.source));
            if is_missed {
                self.see(Cause::DeviceFallback, confidence, evidence, None, None);
            }
        }
    }
}
