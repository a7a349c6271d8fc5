//! The admin listener's routes. Guarded by admin keys, and by where a browser's request comes from.

use schemars::SchemaGenerator;

use super::refusals::{self, GATE, KEY, RATE};
use super::route::{GET, POST, Route, answer, content, json, json_body};
use super::{Interface, OF_A_REPLICA};
use crate::oip::RepositoryItem;
use crate::record::Recorded;
use crate::replica::{Event, LoadReport, LoadRequest, Passport};

const REPLICA: &str = "Replica";

pub(super) const INTERFACE: Interface = Interface {
    about: "What a replica tells its operators, its gateway and its dashboard, and what may be \
            asked of it. Probes and metrics of the data listener are answered here too. Requests \
            that a browser sends from a page of another origin are refused with 403.",
    tags: &[(REPLICA, "One running copy of a model.")],
    routes: ROUTES,
    headers: OF_A_REPLICA,
    family: refusals::by_path,
};

const ROUTES: &[Route] = &[
    Route {
        paths: &["/v1/replica"],
        tag: REPLICA,
        summary: "The passport: who it is, the way it came, what it is held to, and its report.",
        answers: &[answer(200, "The passport.", &[json::<Passport>()])],
        refusals: &[KEY],
        ..GET
    },
    Route {
        paths: &["/v1/events"],
        tag: REPLICA,
        summary: "What happens, as server-sent events. `phase`, `stage`, `case`, `check` and `decision` \
                  are numbered `<epoch>-<n>`; `Last-Event-ID` goes on after one of them. `requests` \
                  and `gauges` come without a number, at most twenty a second, with \
                  `?kinds=requests,gauges`. `lagged` says how many were missed. A comment comes \
                  every 10 s at least.",
        answers: &[answer(
            200,
            "One event a message; its kind is the SSE event name.",
            &[content::<Event>("text/event-stream")],
        )],
        refusals: &[KEY, &[400], RATE],
        ..GET
    },
    Route {
        paths: &["/v1/requests"],
        tag: REPLICA,
        summary: "Requests of users that were answered, as they come, one JSON object a line. \
                  Copied only while somebody listens, and kept nowhere.",
        answers: &[answer(
            200,
            "One request a line.",
            &[content::<Recorded>("application/x-ndjson")],
        )],
        refusals: &[KEY, RATE],
        ..GET
    },
    Route {
        paths: &["/v1/rewarm"],
        tag: REPLICA,
        summary: "Warm and prove again while serving.",
        answers: &[answer(202, "It will.", &[])],
        refusals: &[KEY, GATE],
        ..POST
    },
    Route {
        paths: &["/v1/load"],
        tag: REPLICA,
        summary: "Send planned requests through the own front door, at a rate, and check every \
                  answer. One load at a time.",
        body: Some(json_body(
            SchemaGenerator::subschema_for::<LoadRequest>,
            &[(
                "ten seconds",
                r#"{"rate": 20, "concurrency": 4, "seconds": 10}"#,
            )],
        )),
        answers: &[answer(200, "What it showed.", &[json::<LoadReport>()])],
        refusals: &[KEY, &[400], GATE, RATE],
        ..POST
    },
    Route {
        paths: &["/v2/repository/index"],
        tag: REPLICA,
        summary: "The one model of this replica; with `{\"ready\": true}` only if it is ready.",
        answers: &[answer(200, "The list.", &[json::<Vec<RepositoryItem>>()])],
        refusals: &[KEY, &[400]],
        ..POST
    },
    Route {
        paths: &["/v2/repository/models/{model}/load"],
        tag: REPLICA,
        summary: "Answers when the model is proven; begins the start of a lazy one.",
        answers: &[answer(200, "It is there.", &[])],
        refusals: &[KEY, &[404, 504], GATE],
        ..POST
    },
    Route {
        paths: &["/v2/repository/models/{model}/unload"],
        tag: REPLICA,
        summary: "Refused: a replica keeps its model for as long as it runs. `POST /v1/drain` ends it.",
        refusals: &[KEY, &[400, 404]],
        ..POST
    },
    Route {
        paths: &["/v1/drain"],
        tag: REPLICA,
        summary: "Leave in order, as after SIGTERM.",
        answers: &[answer(202, "It will.", &[])],
        refusals: &[KEY],
        ..POST
    },
    Route {
        paths: &["/v1/try/embed"],
        tag: REPLICA,
        summary: "The data listener's POST routes under /v1/try, for a page that may reach no other address. \
                  Its key goes into `x-api-key`, this listener's into `authorization`.",
        answers: &[answer(200, "What that route answers.", &[])],
        refusals: &[KEY, GATE],
        ..POST
    },
];
