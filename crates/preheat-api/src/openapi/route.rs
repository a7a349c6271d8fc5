//! What one row of the table of routes says.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::headers;

/// One operation under all its paths.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) paths: &'static [&'static str],
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) body: Option<Body>,
    pub(super) answers: &'static [Answer],
    pub(super) refusals: &'static [&'static [u16]],
}

pub(super) struct Body {
    pub(super) media: &'static [&'static str],
    pub(super) schema: MakeSchema,
    /// Name and JSON text.
    pub(super) examples: &'static [(&'static str, &'static str)],
}

pub(super) const fn json_body(
    schema: MakeSchema,
    examples: &'static [(&'static str, &'static str)],
) -> Body {
    Body {
        media: &["application/json"],
        schema,
        examples,
    }
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) meaning: &'static str,
    pub(super) content: &'static [Content],
    /// Besides those of every answer.
    pub(super) headers: &'static [&'static str],
}

#[derive(Clone, Copy)]
pub(super) struct Content {
    pub(super) media: &'static str,
    pub(super) schema: MakeSchema,
}

/// Makes the schema of one type, and of what it refers to.
pub(super) type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// JSON of a shape that is no type of its own.
pub(super) const fn json_of(schema: MakeSchema) -> Content {
    Content {
        media: "application/json",
        schema,
    }
}

pub(super) const fn json<T: JsonSchema>() -> Content {
    content::<T>("application/json")
}

pub(super) const fn content<T: JsonSchema>(media: &'static str) -> Content {
    Content {
        media,
        schema: SchemaGenerator::subschema_for::<T>,
    }
}

pub(super) const fn answer(
    status: u16,
    meaning: &'static str,
    content: &'static [Content],
) -> Answer {
    Answer {
        status,
        meaning,
        content,
        headers: &[],
    }
}

/// An answer that the model computed.
pub(super) const fn computed(meaning: &'static str, content: &'static [Content]) -> Answer {
    Answer {
        status: 200,
        meaning,
        content,
        headers: &[headers::SERVER_TIMING],
    }
}

/// What most routes have in common: nothing but a method.
pub(super) const GET: Route = Route {
    method: "get",
    paths: &[],
    tag: "",
    summary: "",
    body: None,
    answers: &[],
    refusals: &[],
};
pub(super) const POST: Route = Route {
    method: "post",
    ..GET
};
