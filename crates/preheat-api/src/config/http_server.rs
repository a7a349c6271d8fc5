//! `[model.http]`: an existing model server that preheat stands before.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Span;

/// Read where `engine = "http"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpServer {
    /// Program and arguments. `{port}` stands for the port that it is to listen on, `{socket}` for a
    /// unix socket in its place. Empty: it runs already, at `url`.
    pub command: Vec<String>,
    /// `http://host:port` or `unix:/path`, for a server that runs already or has a port of its own.
    /// Empty: on loopback, at the port that it is given.
    pub url: String,
    /// The variable that tells it its port.
    pub port_env: String,
    /// Further variables for it.
    pub env: BTreeMap<String, String>,
    /// Where it is started; empty: where preheat was.
    pub dir: String,
    /// The path that answers 2xx once the server says that it is ready; empty: that it takes
    /// connections is enough. Either way it serves nobody before the plan has proven it.
    pub ready: String,
    /// API that its plan speaks where cases do not say: `openai`, `oip`, `tei` or `preheat`; empty:
    /// the path tells.
    pub preset: String,
    /// Where requests of the plan go that do not say; empty: where the preset's API has them.
    pub path: String,
    /// Time until it says that it is ready.
    pub start_timeout: Span,
    /// Between asking it to end and ending it.
    pub stop_timeout: Span,
    /// Requests change nothing, so that one that was not answered may be sent again elsewhere.
    pub pure: bool,
}

impl Default for HttpServer {
    fn default() -> Self {
        HttpServer {
            command: Vec::new(),
            url: String::new(),
            port_env: "PORT".into(),
            env: BTreeMap::new(),
            dir: String::new(),
            ready: String::new(),
            preset: String::new(),
            path: String::new(),
            start_timeout: Span::secs(600),
            stop_timeout: Span::secs(10),
            pure: false,
        }
    }
}
