//! Who waits for what starts, for how long, and how it ends.

/// Somebody asks whether it lives and has no good answer.
pub(in crate::rules) const UNWELL: &[&str] = &[
    "unhealthy",
    "liveness",
    "health check failed",
    "health checks failed",
    "failed health check",
    "failed healthcheck",
    "failing health check",
    "healthcheck failed",
    "healthcheck failing",
    "health check has failed",
    "health check on port",
    "failed protocol test",
    "not responding on /",
    "not responding to /",
    "no answer on /",
    "no answer from /",
    "not answered for",
    "did not answer /",
    "/ping not answered",
    "/health not answered",
    "/healthz not answered",
    "alive check",
    "autoheal",
    "auto heal",
    "check restart",
    "httpok",
    "probefailure",
    "elb health check",
    "health probe",
];

/// It is ended, whoever does that and why.
const ENDED: &[&str] = &[
    "restart",
    "recreat",
    "replac",
    "terminate",
    "terminating",
    "kill",
    "shut down",
    "sigterm",
    "sigkill",
    "stopping it",
    "respawn",
    "recycl",
    "shoots",
    "is shot",
    "was shot",
    "shot it",
    "shot by",
    "takes it down",
    "takes down",
    "ends container",
    "ended container",
];

/// Somebody gave no sign in time.
pub(in crate::rules) const SILENT: &[&str] = list!(
    "no reply|no answer|no sign|no word|no hello|no heartbeat|no response|no ready|no check|\
     no passing|no signal|no news|no beat|no pulse|no open port|no port|no life|no ping|\
     no pong|no contact|nothing|not yet|still not|still no|has not|have not|had not|did not|\
     does not|not ready|not up|not come|not answered|not passed|not checked in|not seen|\
     didn't|hasn't|doesn't|haven't|never|mute|silent|silence|quiet for|missed|overdue|\
     unanswered|timed out|exceeded|expired|used up|ran out|elapsed|is over|past its|too late|\
     too slow|too long|taken more than|took more than|taking more than|takes more than|\
     taken longer|took longer|longer than|for more than|for over|not heard|had its|\
     has had its|time is up|time's up|time up|out of time|used its|no more time|still in|\
     still loading|not done after|not done in|not finished|still |waited |spent its|not done|\
     is not through|no keepalive|lost contact|out of contact|unresponsive|not responsive|\
     not responding|not respond|failed to respond|failed to answer|failed to report|\
     failed to check in|failed to start|failed to boot|failed to come up|failed to become|\
     no report|not reported|not reporting|not alive|not passing|not healthy|not green|\
     not open|not listening|not bound|not accepting|hung|stuck|frozen|stalled|wedged|deaf|\
     past deadline|ran over|overran|overtime|outlasted|budget spent|budget used|\
     window closed|window over|window passed|window ended|grace over|grace ended|grace is up|\
     limit hit|hit its limit|reached its limit|limit reached|no ask left|no try left|\
     no tries left|no attempt left|no attempts left|no check left|none left|0 left|\
     timeout reached|timeout hit|timeout expired|timeout after|on timeout"
);

/// It is ended for that, and most often started again.
pub(in crate::rules) const PUT_DOWN: &[&str] = both!(
    ENDED,
    &[
        "sigabrt",
        "will be stopped",
        "has been stopped",
        "taken out of service",
        "reboot",
        "evict",
        "reloading (",
        "reloading app",
        "bounced",
    ],
);

/// How long whoever runs it waits for its start.
pub(crate) const START_LIMIT: &[&str] = &[
    "startup deadline",
    "start deadline",
    "start up deadline",
    "boot deadline",
    "boot timeout",
    "startup timeout",
    "start up timeout",
    "app start timeout",
    "deploy timeout",
    "startup time limit",
    "start time limit",
    "startup window",
    "start window",
    "startup budget",
    "start budget",
    "startup limit",
    "launch timeout",
    "container start timeout",
    "port scan timeout",
];

pub(in crate::rules) const RAN_OUT: &[&str] = &[
    "exceeded",
    "passed",
    "expired",
    "elapsed",
    "gave up",
    "gives up",
    "giving up",
    "used up",
    "exhausted",
    "reached",
    "ran out",
    "runs out",
    "running out",
    "terminate",
    "terminating",
    "kill",
    "stopped",
    "stopping",
    "ends instance",
    "unhealthy",
    "never became",
    "failed",
];

pub(crate) const ASKED_FOR_LIFE: &[&str] = &[
    "\"live\"",
    "check \"",
    "probe \"",
    "failing checks",
    "/up ",
    "alive",
    "liveness",
    "/live",
    "/health",
    "/ping",
    "health check",
    "healthcheck",
    "health probe",
    "health endpoint",
    "heartbeat",
    "health status",
    "pulse",
    "pinged",
    "pings",
    "check '",
];

pub(in crate::rules) const UNANSWERED: &[&str] = &[
    "critical",
    "never passed",
    "negative",
    "silent",
    "not said",
    "says nothing",
    "said nothing",
    "no answer",
    "unanswered",
    "not answer",
    "did not answer",
    "does not answer",
    "unhealthy",
    "misses",
    "missed",
    "failed",
    "failing",
    "failure",
    "timed out",
    "no reply",
    "no response",
    "not respond",
    "3/3",
    "livenessfailed",
];

pub(in crate::rules) const BROUGHT_DOWN: &[&str] = both!(
    ENDED,
    &[
        "deregister",
        "starting it again",
        "start it again",
        "started again",
        "reschedul",
        "redeploy",
        "new allocation",
        "launching replacement",
        "tearing it down",
        "torn down",
        "tear down",
        "taken down",
        "taken out",
        "bounce",
        "started anew",
        "starting anew",
        "scheduling a fresh",
        "put down",
        "die ",
        "ended",
        "is stopped",
        "was stopped",
    ],
);

/// What platforms call what they run.
pub(crate) const ON_PLATFORM: &[&str] = &[
    "container",
    "instance",
    "machine",
    "replica",
    "task",
    "deploy",
    "pod",
    "site",
    "revision",
    "app ",
    "application",
    "service",
    "endpoint",
    "vm ",
    "dyno",
    "env ",
    "environment",
    "release",
    "fargate",
];

pub(in crate::rules) const STARTS: &[&str] = &[
    "reading",
    "restoring",
    "mapping",
    "constructor",
    "constructing",
    "weights",
    "warming",
    "start",
    "boot",
    "launch",
    "come up",
    "came up",
    "healthy state",
    "reach ok",
    "reached ok",
    "online",
    "lifespan",
    "on startup",
    "load!",
    "model.load",
    "loading",
    "initializ",
    "initialis",
    "spawn",
    "became healthy",
    "become healthy",
    "listen on",
    "ready signal",
    "ready message",
];

/// How long somebody waits.
pub(in crate::rules) const PATIENTLY: &[&str] = &[
    "slow to initializ",
    "slow to start",
    "slow to boot",
    "slow to load",
    "(>",
    "patience",
    "in time",
    "never passed",
    "max wait",
    "maximum wait",
    "grace",
    "within",
    "deadline",
    "timeout",
    "timed out",
    "threshold",
    "time limit",
    "time budget",
    "watchdog",
    "exceeded",
    "in 20 s",
    "did not emit",
    "did not return in",
    "checks in",
    "attempts",
    "allowed time",
    "not up in",
    "not there after",
    "gave it",
];

pub(in crate::rules) const GIVEN_UP: &[&str] = &[
    "never healthy",
    "never became healthy",
    "force kill",
    "destroyed",
    "evicted",
    "marked failed",
    "marked as failed",
    "stopped",
    "failed",
    "aborted",
    "aborting",
    "rolled back",
    "rolling back",
    "terminate",
    "terminating",
    "kill",
    "sigkill",
    "sigterm",
    "gave up",
    "gives up",
    "giving up",
    "given up",
    "cancelled",
    "canceled",
    "shuts",
    "shut down",
    "torn down",
    "discarded",
    "removed",
    "replaced",
    "restarting",
    "restarted",
    "respawn",
];

pub(in crate::rules) const PATIENCE: &[&str] = &[
    "timeout",
    "timed out",
    "time out",
    "silent for",
    "no sign of life",
    "no heartbeat",
    "did not come up",
    "did not report",
    "no ready signal",
    "stopped responding",
    "deadline exceeded",
    "exceeded its deadline",
    "too slow to start",
    "did not become responsive",
    "did not become ready",
    "did not get ready",
    "over limit",
    "limit exceeded",
    "patience",
    "did not send ready",
    "did not signal",
    "never signalled",
    "never signaled",
    "never reported",
];

/// Whoever is managed.
pub(in crate::rules) const CHILDREN: &[&str] = &[
    "app [",
    "fork ",
    "subprocess",
    "engine core",
    "worker",
    "child",
    "replica",
    "process",
    "runner",
    "supervisor",
    "genserver",
    "stub",
    "arbiter",
    "pid",
    "actor",
    "app '",
    "parent",
    "master",
    "manager",
];

/// What it is at.
pub(in crate::rules) const LOADS: &[&str] = &[
    "load",
    "initializ",
    "initialis",
    "import",
    "boot",
    "startup",
    "starting",
    "start up",
    "to start",
    "start in",
    "spawn",
    "init ",
    "model",
    "tensor",
    "weights",
    "shard",
    "checkpoint",
    "half read",
];

/// Whoever waits does so no longer.
pub(crate) const NO_LONGER: &[&str] = list!(
    "giving up on|gave up on|gives up on|given up on|give up on|cancelling|aborting|\
     calling it off|called off|written off|writing off"
);

/// Processes, and what is done to them alone.
pub(crate) const OF_MANAGERS: &[&str] = list!(
    "worker|child|pid|proc |process|slot |sigkill|sigabrt|fork|actor|runner|supervis|\
     exit(kill)|parent|master|primary|controller|in init|to initializ|to initialis|\
     constructor|herder|foreman|boss"
);
