//! The table of routes: what each takes, answers and may refuse.

use schemars::SchemaGenerator;

use super::refusals::{BODY, GATE, KEY, MODEL, RATE, RUN, TASK, TEI_BODY};
use super::route::{
    Answer, Body, Content, GET, POST, Route, answer, computed, content, json, json_body, json_of,
};
use super::schemas;
use crate::classify::Score;
use crate::embed::{EmbedBody, Health};
use crate::oip::{
    InferAnswer, InferRequest, ModelConfig, ModelMetadata, ModelStatsAnswer, ServerMetadata,
};
use crate::openai::{EmbeddingsAnswer, EmbeddingsRequest, ModelItem, ModelList};
use crate::tei::{Info, PredictRequest, Predictions, Rank, RerankRequest, Token, TokenizeRequest};
use crate::{ReadinessReport, headers};

/// What the model is called when the configuration does not say.
pub(super) const OWN_NAME: &str = "all-MiniLM-L6-v2";
pub(super) const CONFIGURED_NAME: &str = "embedder";

const READINESS: &[Answer] = &[
    answer(
        200,
        "Ready: the proof has passed.",
        &[json::<ReadinessReport>()],
    ),
    answer(
        503,
        "Not ready; the report says why.",
        &[json::<ReadinessReport>()],
    ),
];

const EMBEDDINGS: &str = "Embeddings";
const CLASSIFIERS: &str = "Classifiers";
const OIP: &str = "Open Inference Protocol";
const PROBES: &str = "Probes";
const ABOUT: &str = "About";

pub(super) const TAGS: [(&str, &str); 5] = [
    (
        EMBEDDINGS,
        "Vectors of texts, in the bodies that existing clients speak.",
    ),
    (CLASSIFIERS, "A score for each label."),
    (OIP, "Version 2, as Triton's clients speak it."),
    (
        PROBES,
        "Open to everyone, and answered through loading and warm-up.",
    ),
    (ABOUT, "The interface describing itself."),
];

pub(super) const ROUTES: &[Route] = &[
    Route {
        paths: &["/embed"],
        tag: EMBEDDINGS,
        summary: "One vector for each text. A list of texts answers an object, the object form of \
                  text-embeddings-inference a bare list.",
        body: Some(json_body(
            SchemaGenerator::subschema_for::<EmbedBody>,
            &[
                ("list", r#"["a short text", "another one"]"#),
                (
                    "object",
                    r#"{"inputs": ["a short text"], "truncate": true}"#,
                ),
            ],
        )),
        answers: &[computed(
            "The vectors, in order.",
            &[json_of(schemas::either_embed_answer)],
        )],
        refusals: &[KEY, TASK, BODY, TEI_BODY, RATE, RUN, GATE],
        ..POST
    },
    Route {
        paths: &["/"],
        tag: EMBEDDINGS,
        summary: "What the model is for, where Hugging Face's clients look for it: the object form of \
                  /embed, /predict of a classifier, /rerank where there is one label.",
        body: Some(json_body(
            schemas::any_task,
            &[
                ("one", r#"{"inputs": "a short text"}"#),
                (
                    "shortened",
                    r#"{"inputs": ["a short text"], "dimensions": 8}"#,
                ),
            ],
        )),
        answers: &[computed(
            "The vectors, in order, or the scores.",
            &[json_of(schemas::any_task_answer)],
        )],
        refusals: &[KEY, TASK, TEI_BODY, RATE, RUN, GATE],
        ..POST
    },
    Route {
        paths: &["/tokenize"],
        tag: EMBEDDINGS,
        summary: "The tokens of each text, as the model sees them.",
        body: Some(json_body(
            SchemaGenerator::subschema_for::<TokenizeRequest>,
            &[(
                "one",
                r#"{"inputs": "a short text", "add_special_tokens": false}"#,
            )],
        )),
        answers: &[answer(
            200,
            "The tokens of each text.",
            &[json::<Vec<Vec<Token>>>()],
        )],
        refusals: &[KEY, TASK, TEI_BODY, RATE, &[500], GATE],
        ..POST
    },
    Route {
        paths: &["/v1/embeddings"],
        tag: EMBEDDINGS,
        summary: "OpenAI's embeddings, as numbers or base64.",
        body: Some(json_body(
            SchemaGenerator::subschema_for::<EmbeddingsRequest>,
            &[
                (
                    "own",
                    r#"{"model": "all-MiniLM-L6-v2", "input": ["a short text"]}"#,
                ),
                (
                    "configured",
                    r#"{"model": "embedder", "input": "a short text", "encoding_format": "base64"}"#,
                ),
                (
                    "tokens",
                    r#"{"model": "embedder", "input": [[101, 2460, 102]]}"#,
                ),
            ],
        )),
        answers: &[computed(
            "The vectors, in order.",
            &[json::<EmbeddingsAnswer>()],
        )],
        refusals: &[KEY, MODEL, BODY, RATE, RUN, GATE],
        ..POST
    },
    Route {
        paths: &["/predict"],
        tag: CLASSIFIERS,
        summary: "Every label with its score for each text or pair of texts, the best first.",
        body: Some(json_body(
            SchemaGenerator::subschema_for::<PredictRequest>,
            &[
                ("one", r#"{"inputs": "a short text"}"#),
                (
                    "several",
                    r#"{"inputs": [["a short text"], ["a question", "its answer"]], "raw_scores": true}"#,
                ),
            ],
        )),
        answers: &[computed("The scores.", &[json::<Predictions>()])],
        refusals: &[KEY, TASK, TEI_BODY, RATE, RUN, GATE],
        ..POST
    },
    Route {
        paths: &["/rerank"],
        tag: CLASSIFIERS,
        summary: "How well each text answers the query, the best first.",
        body: Some(json_body(
            SchemaGenerator::subschema_for::<RerankRequest>,
            &[(
                "two",
                r#"{"query": "a question", "texts": ["an answer", "something else"]}"#,
            )],
        )),
        answers: &[computed("The scores.", &[json::<Vec<Rank>>()])],
        refusals: &[KEY, TASK, TEI_BODY, RATE, RUN, GATE],
        ..POST
    },
    Route {
        paths: &["/classify/image"],
        tag: CLASSIFIERS,
        summary: "Every label with its score for one JPEG or PNG image, the best first.",
        body: Some(Body {
            media: &["image/jpeg", "image/png"],
            schema: schemas::bytes,
            examples: &[],
        }),
        answers: &[computed("The scores.", &[json::<Vec<Score>>()])],
        refusals: &[KEY, TASK, BODY, RATE, RUN, GATE],
        ..POST
    },
    Route {
        paths: &["/v1/models"],
        tag: EMBEDDINGS,
        summary: "The model, in OpenAI's list.",
        answers: &[answer(200, "The list.", &[json::<ModelList>()])],
        refusals: &[KEY],
        ..GET
    },
    Route {
        paths: &["/v1/models/{model}"],
        tag: EMBEDDINGS,
        summary: "One model, in OpenAI's words.",
        answers: &[answer(200, "The model.", &[json::<ModelItem>()])],
        refusals: &[KEY, MODEL],
        ..GET
    },
    Route {
        paths: &["/info"],
        tag: EMBEDDINGS,
        summary: "The model and its limits, in the words of text-embeddings-inference.",
        answers: &[answer(200, "Model and limits.", &[json::<Info>()])],
        refusals: &[KEY, GATE],
        ..GET
    },
    Route {
        paths: &[
            "/v2/models/{model}/infer",
            "/v2/models/{model}/versions/{version}/infer",
        ],
        tag: OIP,
        summary: "The model's tensors, as its metadata declares them; for models of texts, one row \
                  for each text (or pair, of shape [n, 2]) of the BYTES tensor `text`. With the binary extension tensors follow the JSON, whose length `inference-header-content-length` says, in \
                  the request, the answer or both.",
        body: Some(json_body(
            SchemaGenerator::subschema_for::<InferRequest>,
            &[(
                "texts",
                r#"{"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2],
                    "data": ["a short text", "another one"]}]}"#,
            )],
        )),
        answers: &[Answer {
            status: 200,
            meaning: "The output tensors; for texts the FP32 tensor `embedding`, or `logits` of a classifier.",
            content: &[
                json::<InferAnswer>(),
                Content {
                    media: "application/octet-stream",
                    schema: schemas::bytes,
                },
            ],
            headers: &[headers::SERVER_TIMING, headers::INFER_JSON_LENGTH],
        }],
        refusals: &[KEY, MODEL, BODY, RATE, RUN, GATE],
        ..POST
    },
    Route {
        paths: &["/v2"],
        tag: OIP,
        summary: "Name, version and extensions of the server.",
        answers: &[answer(
            200,
            "About the server.",
            &[json::<ServerMetadata>()],
        )],
        refusals: &[KEY],
        ..GET
    },
    Route {
        paths: &[
            "/v2/models/{model}",
            "/v2/models/{model}/versions/{version}",
        ],
        tag: OIP,
        summary: "The tensors that the model takes and gives.",
        answers: &[answer(200, "About the model.", &[json::<ModelMetadata>()])],
        refusals: &[KEY, MODEL, GATE],
        ..GET
    },
    Route {
        paths: &[
            "/v2/models/{model}/config",
            "/v2/models/{model}/versions/{version}/config",
        ],
        tag: OIP,
        summary: "The model's configuration, as far as Triton's clients read it.",
        answers: &[answer(200, "The configuration.", &[json::<ModelConfig>()])],
        refusals: &[KEY, MODEL, GATE],
        ..GET
    },
    Route {
        paths: &[
            "/v2/models/{model}/stats",
            "/v2/models/{model}/versions/{version}/stats",
        ],
        tag: OIP,
        summary: "Counts and times of the model.",
        answers: &[answer(
            200,
            "The statistics.",
            &[json::<ModelStatsAnswer>()],
        )],
        refusals: &[KEY, MODEL],
        ..GET
    },
    Route {
        paths: &["/v2/models/stats"],
        tag: OIP,
        summary: "Counts and times of all models.",
        answers: &[answer(
            200,
            "The statistics.",
            &[json::<ModelStatsAnswer>()],
        )],
        refusals: &[KEY],
        ..GET
    },
    Route {
        paths: &[
            "/v2/models/{model}/ready",
            "/v2/models/{model}/versions/{version}/ready",
        ],
        tag: OIP,
        summary: "Whether this model is ready.",
        answers: READINESS,
        refusals: &[MODEL],
        ..GET
    },
    Route {
        paths: &["/ready", "/readyz", "/ping", "/v2/health/ready"],
        tag: PROBES,
        summary: "Whether requests may come, and the whole readiness report.",
        answers: READINESS,
        ..GET
    },
    Route {
        paths: &["/livez", "/v2/health/live"],
        tag: PROBES,
        summary: "Whether the process lives.",
        answers: &[answer(200, "It lives.", &[json::<Health>()])],
        ..GET
    },
    Route {
        paths: &["/health"],
        tag: PROBES,
        summary: "Whether the process lives; by setting (`server.health_is`), whether it is ready.",
        answers: &[
            answer(
                200,
                "It lives, or is ready.",
                &[json_of(schemas::health_or_report)],
            ),
            answer(
                503,
                "Not ready; the report says why.",
                &[json::<ReadinessReport>()],
            ),
        ],
        ..GET
    },
    Route {
        paths: &["/startupz"],
        tag: PROBES,
        summary: "Whether the first proof has passed.",
        answers: &[
            answer(200, "Started.", &[json::<Health>()]),
            answer(503, "Still starting.", &[json::<Health>()]),
        ],
        ..GET
    },
    Route {
        paths: &["/metrics"],
        tag: ABOUT,
        summary: "Metrics in the text format that Prometheus reads.",
        answers: &[answer(
            200,
            "The page.",
            &[
                content::<String>("text/plain"),
                content::<String>("application/openmetrics-text"),
            ],
        )],
        refusals: &[KEY],
        ..GET
    },
    Route {
        paths: &["/openapi.json"],
        tag: ABOUT,
        summary: "This document.",
        answers: &[answer(200, "The document.", &[json_of(schemas::object)])],
        ..GET
    },
    Route {
        paths: &["/docs"],
        tag: ABOUT,
        summary: "This document as a page for people.",
        answers: &[answer(200, "The page.", &[content::<String>("text/html")])],
        ..GET
    },
];
