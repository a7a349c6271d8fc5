//! Claims of readiness that are told to somebody, and answers that show that one came too early.

use super::super::words::missing::{NOT_SO_FAR, SO_FAR};
use super::super::{Beside, Mark, Meaning, Pair, Rule};

pub(in crate::rules) const RULES: &[Rule] = &[
    // Whoever sends requests is told that they may come.
    Rule {
        means: Meaning::Marks(Mark::Ready),
        confidence: 1.0,
        says: &[
            "we are ready",
            "i am ready",
            "i'm ready",
            "lamp green",
            "lights green",
            "send me work",
            "health/ready 200",
            "ready: yes",
            "ready=yes",
            "not serving > serving",
            "shows ready",
            "signals ready",
            "all green",
            "everything green",
            "heartbeat + state=up",
            "flags=healthy",
            "state=healthy",
            "status=healthy",
            "healthy=true",
        ],
        pairs: &[Pair(TELLS, WHO_SENDS)],
        except: UNFIT,
        beside: Beside::Words(FIT),
        example: "agent: registering service face-id with consul, status passing",
        counter: "agent: registering service face-id with consul, status critical",
    },
    // Whoever sends requests finds it well, or it is put where requests go.
    Rule {
        means: Meaning::Marks(Mark::Ready),
        confidence: 1.0,
        says: &["registry + register finished"],
        pairs: &[
            Pair(SENT_TO, WELL),
            Pair(GETS, A_SHARE),
            Pair(PUT, WHERE_THEY_GO),
            Pair(
                &["registered", "registration", "created ephemeral"],
                CATALOGUES,
            ),
        ],
        except: UNFIT,
        beside: Beside::Anything,
        example: "lb 08:00:00 backend b3 came up (L7 check 200)",
        counter: "lb 08:00:00 backend b3 came up and went down (L7 check 503)",
    },
    // Asked for something that is not there so far, whatever it is.
    Rule {
        means: Meaning::Marks(Mark::TurnedAway),
        confidence: 1.0,
        says: &[
            "503",
            "500",
            "502",
            "424",
            "425",
            "unavailable",
            "turned away",
            "sent away",
        ],
        pairs: &[],
        except: &[
            "probe",
            "waiting",
            "kubelet",
            "starting",
            "/ready",
            "/health",
            "/up ",
            "adapter",
            "lora",
            "user",
            "not found",
            "retry",
            "upstream",
            "refused",
        ],
        beside: Beside::All(&[NOT_SO_FAR, SO_FAR]),
        example: "mail 5f10 -> 503 \"brain not inflated yet\"",
        counter: "mail 5f10 -> 200, second brain not inflated yet",
    },
];

/// It is not, or no more.
const UNFIT: &[&str] = &[
    "not ready",
    "not passing",
    "not in",
    "not put",
    "not yet",
    "not up",
    "not healthy",
    "not register",
    "not set",
    "not report",
    "no longer",
    "no traffic",
    "unhealthy",
    "critical",
    "until",
    "fail",
    "error",
    "would",
    "never",
    "before it",
    "stays",
    "if ",
    "wait",
    "deregist",
    "> down",
    "went down",
    "is down",
    "maintenance",
    "503",
    "out of",
    "removed",
    "kept out",
    "old ",
    "drain",
    "metrics",
];

/// Makes known.
const TELLS: &[&str] = &[
    "register",
    "registration",
    "announc",
    "report",
    "tell",
    "told",
    "advertise",
    "advertising",
    "publish",
    "enrol",
    "signed on",
    "signing on",
    "joined",
    "joining",
    "notif",
    "signal",
    "flagged",
    "mark",
    "set ",
    "flipped",
    "switched",
    "says",
    "said",
    "declare",
    "sent",
    "pushed",
];

/// Those who send requests on, and those who tell them where to.
const WHO_SENDS: &[&str] = &[
    "consul",
    "eureka",
    "zookeeper",
    "zk",
    "etcd",
    "nacos",
    "registry",
    "discovery",
    "load balancer",
    "loadbalancer",
    "lb",
    "balancer",
    "mesh",
    "proxy",
    "router",
    "gateway",
    "envoy",
    "haproxy",
    "traefik",
    "nginx",
    "ingress",
    "target group",
    "dispatcher",
    "frontend",
    "front door",
    "fleet",
    "controller",
    "orchestrator",
    "/services/",
    "service catalog",
    "routing table",
];

/// That requests may come.
const FIT: &[&str] = &[
    "ready",
    "passing",
    "up",
    "healthy",
    "available",
    "serving",
    "in service",
    "open",
    "green",
    "live",
    "status=ready",
    "weight=",
    "in rotation",
];

const PUT: &[&str] = &[
    "put", "placed", "added", "moved", "switched", "brought", "taken", "turned", "entered", "went",
    "came", "joined", "back",
];

const WHERE_THEY_GO: &[&str] = &[
    "in rotation",
    "into rotation",
    "to rotation",
    "rotation again",
    "in pool",
    "into pool",
    "in service",
    "into service",
    "into load",
    "behind lb",
    "behind load balancer",
];

/// Those whom requests are sent to.
const SENT_TO: &[&str] = &[
    "backend", "target", "upstream", "endpoint", "member", "slot", "weight",
];

const WELL: &[&str] = &[
    "> up",
    "is up",
    "went up",
    "came up",
    "marked up",
    "state up",
    "passing",
    "inservice",
    "in service",
    "switched on",
];

const GETS: &[&str] = &[
    "gets",
    "is given",
    "giving",
    "receives",
    "now takes",
    "sending",
];

const A_SHARE: &[&str] = &[
    "% of calls",
    "% of traffic",
    "% of requests",
    "share of traffic",
    "of calls now",
    "of traffic now",
    "live traffic",
    "real traffic",
];

/// Where clients look servers up.
const CATALOGUES: &[&str] = &[
    "consul",
    "eureka",
    "nacos",
    "zookeeper",
    "/services/",
    "service registry",
    "service discovery",
];
