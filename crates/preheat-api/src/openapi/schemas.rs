//! The shapes of bodies, from the types themselves, and the limits that the types cannot say.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::route::MakeSchema;
use crate::ReadinessReport;
use crate::config::Limits;
use crate::embed::{EmbedAnswer, Health};
use crate::tei::{EmbedRequest, PredictRequest, Predictions, Rank, RerankRequest};

/// What is read and what is written differ in what may be left out.
pub(super) struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12()
                .with(|s| s.definitions_path = "/components/schemas".into())
        };
        Schemas {
            requests: settings().for_deserialize().into_generator(),
            answers: settings().for_serialize().into_generator(),
        }
    }

    pub(super) fn request(&mut self, make: MakeSchema) -> Value {
        make(&mut self.requests).to_value()
    }

    pub(super) fn answer(&mut self, make: MakeSchema) -> Value {
        make(&mut self.answers).to_value()
    }

    /// Everything that was referred to, by name. No type is both read and written.
    pub(super) fn into_definitions(mut self) -> Map<String, Value> {
        let mut definitions = self.requests.take_definitions(true);
        definitions.extend(self.answers.take_definitions(true));
        let mut definitions = Value::Object(definitions);
        for (pointer, limit) in limits() {
            let place = definitions
                .pointer_mut(pointer)
                .and_then(Value::as_object_mut);
            if let (Some(place), Value::Object(limit)) = (place, limit) {
                place.extend(limit);
            }
        }
        match definitions {
            Value::Object(definitions) => definitions,
            _ => Map::new(),
        }
    }
}

/// What the server checks beyond the type, by place. A test holds that every place exists.
pub(super) fn limits() -> Vec<(&'static str, Value)> {
    let inputs = json!({ "minItems": 1, "maxItems": Limits::default().client_batch });
    vec![
        ("/EmbedBody/anyOf/0", inputs.clone()),
        ("/Texts/anyOf/1", inputs.clone()),
        ("/EmbedInputs/anyOf/1", inputs.clone()),
        ("/EmbedInputs/anyOf/2", json!({ "minItems": 1 })),
        ("/EmbedInputs/anyOf/3", inputs.clone()),
        ("/EmbedInputs/anyOf/3/items", json!({ "minItems": 1 })),
        ("/EmbedInputs/anyOf/2/items", json!({ "maximum": u32::MAX })),
        (
            "/EmbedInputs/anyOf/3/items/items",
            json!({ "maximum": u32::MAX }),
        ),
        (
            "/PredictInputs/anyOf/1",
            json!({ "minItems": 1, "maxItems": 2 }),
        ),
        ("/PredictInputs/anyOf/2", inputs.clone()),
        (
            "/PredictInputs/anyOf/2/items",
            json!({ "minItems": 1, "maxItems": 2 }),
        ),
        ("/RerankRequest/properties/texts", inputs.clone()),
        ("/Input/anyOf/1", inputs.clone()),
        ("/Input/anyOf/2", json!({ "minItems": 1 })),
        ("/Input/anyOf/3", inputs),
        ("/Input/anyOf/3/items", json!({ "minItems": 1 })),
        ("/Input/anyOf/2/items", json!({ "maximum": u32::MAX })),
        ("/Input/anyOf/3/items/items", json!({ "maximum": u32::MAX })),
        ("/InferRequest/properties/inputs", json!({ "minItems": 1 })),
        (
            "/InputTensor/properties/data",
            json!({ "type": ["array", "string", "number", "boolean", "null"] }),
        ),
    ]
}

/// The list form answers an object, the object form a list.
pub(super) fn either_embed_answer(generator: &mut SchemaGenerator) -> Schema {
    any_of::<EmbedAnswer, Vec<Vec<f32>>>(generator)
}

/// What one route takes for models of several kinds.
pub(super) fn any_task(generator: &mut SchemaGenerator) -> Schema {
    let rest = any_of::<PredictRequest, RerankRequest>(generator);
    json_schema!({ "anyOf": [generator.subschema_for::<EmbedRequest>(), rest] })
}

pub(super) fn any_task_answer(generator: &mut SchemaGenerator) -> Schema {
    let rest = any_of::<Predictions, Vec<Rank>>(generator);
    json_schema!({ "anyOf": [generator.subschema_for::<Vec<Vec<f32>>>(), rest] })
}

pub(super) fn health_or_report(generator: &mut SchemaGenerator) -> Schema {
    any_of::<Health, ReadinessReport>(generator)
}

fn any_of<A: JsonSchema, B: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let (a, b) = (
        generator.subschema_for::<A>(),
        generator.subschema_for::<B>(),
    );
    json_schema!({ "anyOf": [a, b] })
}

/// JSON that is described elsewhere.
pub(super) fn object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object" })
}

/// A body that is not JSON: nothing that a JSON schema could say of it.
pub(super) fn bytes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({})
}
