//! The routes of a gateway's admin listener. Guarded as a replica's are.

use schemars::SchemaGenerator;

use super::Interface;
use super::refusals::{self, CONFLICT, KEY, MODEL, RATE};
use super::route::{Answer, GET, MakeSchema, POST, Route, answer, content, json, json_body};
use crate::embed::Health;
use crate::record::Recorded;
use crate::service::{
    Decision, FleetEvent, GatewayReport, RolloutRequest, ScaleRequest, ServiceReport, VerifyReport,
    VerifyRequest,
};

const FLEET: &str = "Fleet";
const PROBES: &str = "Probes";

pub(super) const INTERFACE: Interface = Interface {
    about: "What a gateway tells its operators and its dashboard, and what may be asked of it. \
            Requests that a browser sends from a page of another origin are refused with 403.",
    tags: &[
        (
            FLEET,
            "Services, their replicas, and why there are so many of them.",
        ),
        (
            PROBES,
            "For whatever watches the gateway. Open, also where keys are set.",
        ),
    ],
    routes: ROUTES,
    headers: &[],
    family: refusals::problem,
};

const BODY: &[u16] = &[400];

const AFTER: &[Answer] = &[answer(
    200,
    "The service after that.",
    &[json::<ServiceReport>()],
)];

const ROUTES: &[Route] = &[
    Route {
        paths: &["/v1/services"],
        tag: FLEET,
        summary: "Every service with its replicas and its rollout.",
        answers: &[answer(200, "All of them.", &[json::<Vec<ServiceReport>>()])],
        refusals: &[KEY],
        ..GET
    },
    Route {
        paths: &["/v1/services/{service}"],
        tag: FLEET,
        summary: "One service.",
        answers: &[answer(200, "It.", &[json::<ServiceReport>()])],
        refusals: &[KEY, MODEL],
        ..GET
    },
    order(
        &["/v1/services/{service}:scale"],
        "Change its bounds; what is left out stays as it is.",
        &[KEY, MODEL, BODY],
        SchemaGenerator::subschema_for::<ScaleRequest>,
        &[("two to four", r#"{"min": 2, "max": 4}"#)],
    ),
    order(
        &["/v1/services/{service}:rollout"],
        "Let it serve another revision: prove it, load it, switch, watch.",
        &[KEY, MODEL, BODY, CONFLICT],
        SchemaGenerator::subschema_for::<RolloutRequest>,
        &[("another model", r#"{"source": "./models/new"}"#)],
    ),
    Route {
        paths: &[
            "/v1/services/{service}:promote",
            "/v1/services/{service}:rollback",
            "/v1/services/{service}:abort",
        ],
        tag: FLEET,
        summary: "End a rollout: the new revision stays, the old one serves again, or whichever \
                  serves now stays.",
        answers: AFTER,
        refusals: &[KEY, MODEL, CONFLICT],
        ..POST
    },
    Route {
        paths: &["/v1/verify"],
        tag: FLEET,
        summary: "Whether what serves is what was rolled out, and proven. For rollout tools; fields \
                  that are not known are ignored.",
        body: Some(json_body(
            SchemaGenerator::subschema_for::<VerifyRequest>,
            &[],
        )),
        answers: &[
            answer(200, "Everything holds.", &[json::<VerifyReport>()]),
            answer(409, "Something does not.", &[json::<VerifyReport>()]),
        ],
        refusals: &[KEY, MODEL, BODY],
        ..POST
    },
    Route {
        paths: &["/v1/decisions"],
        tag: FLEET,
        summary: "The last thousand decisions with their reasons, oldest first.",
        answers: &[answer(
            200,
            "All that are remembered.",
            &[json::<Vec<Decision>>()],
        )],
        refusals: &[KEY],
        ..GET
    },
    Route {
        paths: &["/v1/events"],
        tag: FLEET,
        summary: "What changes, as server-sent events: `service` is one service as it is now, at most \
                  four times a second, and every 2 s without a change; `decisions` are those that \
                  are new, at first the ones that are remembered; `lagged` says how many were missed.",
        answers: &[answer(
            200,
            "One event a message; its kind is the SSE event name.",
            &[content::<FleetEvent>("text/event-stream")],
        )],
        refusals: &[KEY, RATE],
        ..GET
    },
    Route {
        paths: &["/v1/requests"],
        tag: FLEET,
        summary: "Requests of users that were answered, as they come, one JSON object a line. Copied \
                  only while somebody listens, and kept nowhere.",
        answers: &[answer(
            200,
            "One request a line.",
            &[content::<Recorded>("application/x-ndjson")],
        )],
        refusals: &[KEY, RATE],
        ..GET
    },
    Route {
        paths: &["/v1/drain"],
        tag: FLEET,
        summary: "Leave in order, as after SIGTERM.",
        answers: &[answer(202, "It will.", &[])],
        refusals: &[KEY],
        ..POST
    },
    Route {
        paths: &["/health", "/livez"],
        tag: PROBES,
        summary: "The process answers.",
        answers: &[answer(200, "It does.", &[json::<Health>()])],
        ..GET
    },
    Route {
        paths: &["/ready", "/readyz"],
        tag: PROBES,
        summary: "Whether requests are taken: the report of the best replica, and all services.",
        answers: &[
            answer(200, "They are.", &[json::<GatewayReport>()]),
            answer(503, "Not yet, or no more.", &[json::<GatewayReport>()]),
        ],
        ..GET
    },
    Route {
        paths: &["/startupz"],
        tag: PROBES,
        summary: "Whether every service was ready once.",
        answers: &[
            answer(200, "It was.", &[json::<Health>()]),
            answer(503, "Not yet.", &[json::<Health>()]),
        ],
        ..GET
    },
    Route {
        paths: &["/metrics"],
        tag: PROBES,
        summary: "Metrics in the text format of Prometheus.",
        answers: &[answer(
            200,
            "All of them.",
            &[
                content::<String>("text/plain"),
                content::<String>("application/openmetrics-text"),
            ],
        )],
        ..GET
    },
];

/// What is asked of a service, answered by the service after it.
const fn order(
    paths: &'static [&'static str],
    summary: &'static str,
    refusals: &'static [&'static [u16]],
    body: MakeSchema,
    examples: &'static [(&'static str, &'static str)],
) -> Route {
    Route {
        paths,
        tag: FLEET,
        summary,
        body: Some(json_body(body, examples)),
        answers: AFTER,
        refusals,
        ..POST
    }
}
