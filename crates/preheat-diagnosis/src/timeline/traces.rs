//! Tracebacks: their frames say nothing by themselves, and what is raised below one that loads a
//! model ends the load, whatever it is called.

use crate::line::wording::{is_frame, is_raised};

/// Lines of code that may follow a frame before something is raised.
const LONGEST: u32 = 40;

/// What loads a model, in code.
const LOADERS: [&str; 24] = [
    "load model",
    "model loader",
    "loader.load",
    "from pretrained",
    "inferencesession(",
    "torch.load",
    "joblib.load",
    "pickle.load",
    "unpickle",
    "load state dict",
    "load weights",
    "load checkpoint",
    "load file(",
    "safe open",
    "spacy.load",
    "nlp.load",
    "load tokenizer",
    "load pipeline",
    "sentencetransformer(",
    "crossencoder(",
    "models.load",
    "saved model.load",
    "load learner",
    "init model",
];

/// What hands a request to whoever answers it, in code.
const HANDLERS: [&str; 7] = [
    "in handle request",
    "in dispatch request",
    "in full dispatch request",
    "in run endpoint function",
    "in get response",
    "in call endpoint",
    "in handle async request",
];

/// What runs a model before anybody asks, in code.
const WARMERS: [&str; 13] = [
    "warm up",
    "warmup",
    "warmed",
    "warming",
    "prewarm",
    " in warm",
    " warm(",
    ".warm(",
    "self test",
    "selftest",
    "smoke test",
    "dry run",
    "golden",
];

/// Whether a frame, or the code below it, runs one, and does not train it.
fn warms(text: &str) -> bool {
    let is_rate = || text.contains("schedule") || text.contains("steps");
    WARMERS.iter().any(|word| text.contains(word)) && !is_rate()
}

/// What one line is of a traceback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traced {
    /// A frame, or the code below one.
    Code,
    /// The same, and it loads a model for a request.
    AskedLoad,
    /// What was raised, and the load of a model with it.
    LoadRaised,
    /// The same of a warm-up.
    WarmupRaised,
    /// Something else.
    Statement,
}

#[derive(Debug, Default)]
pub(super) struct Traces {
    follows_frame: bool,
    /// Frames went through what loads a model.
    loads: bool,
    /// Before that through what answers a request.
    is_asked: bool,
    /// Or through what warms one.
    warms: bool,
    /// Lines since the newest frame, while nothing was raised.
    since: Option<u32>,
}

impl Traces {
    pub(super) fn take(&mut self, text: &str) -> Traced {
        if text.contains("traceback (most recent call last)") {
            *self = Traces::default();
        }
        let is_frame = is_frame(text);
        let is_code = is_frame || (self.follows_frame && !is_raised(text));
        self.follows_frame = is_frame;
        if is_frame {
            self.since = Some(0);
        }
        let Some(since) = self.since else {
            return Traced::Statement;
        };
        if is_code {
            let loads = !self.loads && LOADERS.iter().any(|loader| text.contains(loader));
            self.loads |= loads;
            self.is_asked |= HANDLERS.iter().any(|handler| text.contains(handler));
            self.warms |= warms(text);
            return match loads && self.is_asked {
                true => Traced::AskedLoad,
                false => Traced::Code,
            };
        }
        if since > LONGEST {
            *self = Traces::default();
        } else if names_an_error(text) {
            let Traces { loads, warms, .. } = std::mem::take(self);
            if loads || warms {
                return match loads {
                    true => Traced::LoadRaised,
                    false => Traced::WarmupRaised,
                };
            }
        } else {
            self.since = Some(since + 1);
        }
        Traced::Statement
    }
}

/// `ValueError: …`, `x.y.InvalidHeader: …` or `AssertionError`, whatever stands in front.
fn names_an_error(text: &str) -> bool {
    const OTHERS: [&str; 4] = ["keyboardinterrupt", "systemexit", "cancelled", "warning:"];
    if !text.contains("error") && !text.contains("exception") {
        return false;
    }
    let is_error = ["error:", "exception:", "error]"]
        .iter()
        .any(|word| text.match_indices(word).any(|(at, _)| is_named(text, at)));
    let is_bare = text.ends_with("error") && !text.contains(' ');
    (is_error || is_bare) && !OTHERS.iter().any(|other| text.contains(other))
}

/// The word goes on in front: it is a name, and no level.
fn is_named(text: &str, at: usize) -> bool {
    text[..at].ends_with(|c: char| c.is_ascii_alphanumeric())
}
