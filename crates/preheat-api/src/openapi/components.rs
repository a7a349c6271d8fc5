//! Parameters and headers that the document names once and refers to.

use serde_json::{Value, json};

use super::routes::{CONFIGURED_NAME, OWN_NAME};
use crate::headers;
use crate::oip::MODEL_VERSION;

/// In paths.
pub(super) fn parameters() -> Value {
    json!({
        "model": {
            "name": "model", "in": "path", "required": true,
            "description": "What the configuration calls the model, or its own name.",
            "schema": { "type": "string", "minLength": 1 },
            "examples": {
                "own": { "value": OWN_NAME },
                "configured": { "value": CONFIGURED_NAME },
            },
        },
        "service": {
            "name": "service", "in": "path", "required": true,
            "description": "What clients call the model.",
            "schema": { "type": "string", "minLength": 1 },
        },
        "version": {
            "name": "version", "in": "path", "required": true,
            "description": "There is one version at a time.",
            "schema": { "type": "string", "enum": [MODEL_VERSION] },
        },
    })
}

/// Of answers.
pub(super) fn response_headers() -> Value {
    json!({
        headers::REQUEST_ID: text("The request's own, or one made for it."),
        headers::WARM: {
            "description": "How warm the replica is known to be. Absent while it serves nobody.",
            "schema": { "type": "string", "enum": ["proven", "degraded", "skipped"] },
        },
        headers::SERVER_TIMING: text("Milliseconds of preparation, queue and inference."),
        "retry-after": number("Whole seconds until it makes sense to come back.", 1),
        headers::RETRY_AFTER_MS: number("The same in milliseconds.", 0),
        "www-authenticate": text("How to send a key."),
        headers::INFER_JSON_LENGTH: {
            "description": "Length of the JSON in front of the tensors, where they are binary.",
            "schema": { "type": "integer", "minimum": 0 },
        },
    })
}

fn text(description: &str) -> Value {
    json!({ "description": description, "required": true, "schema": { "type": "string" } })
}

fn number(description: &str, minimum: u8) -> Value {
    let schema = json!({ "type": "integer", "minimum": minimum });
    json!({ "description": description, "required": true, "schema": schema })
}
