//! Words by which a request, its answer and what is none are known.

use crate::line::list::List;

/// Words behind which a request has its name, whoever tells of it: `req 7`, `rid=17`.
pub(super) const CALLED: [&str; 21] = [
    "utterance ",
    "req ",
    "req=",
    "req:",
    "req#",
    "request ",
    "request=",
    "request #",
    "rid ",
    "rid=",
    "reqid=",
    "id=",
    "call ",
    "call #",
    "caller ",
    "job ",
    "job=",
    "query ",
    "rpc#",
    "r=",
    "q=",
];

/// Others that do not tell for whom something is done: `ask 3`, `#1`.
pub(super) const NAMED: [&str; 27] = [
    "ask#",
    "call#",
    "job#",
    "ask ",
    "ask=",
    "ask id=",
    "letter ",
    "mail ",
    "message ",
    "msg ",
    "ticket ",
    "question ",
    "request,",
    "response,",
    "response ",
    "call=",
    "caller=",
    "client ",
    "trace ",
    "trace=",
    "seq=",
    "infer ",
    "visitor ",
    "user ",
    "customer ",
    "guest ",
    "#",
];

/// That somebody was answered.
pub(crate) const ANSWERED: [&str; 13] = [
    "served",
    "answered",
    "answer sent",
    "replied",
    "reply sent",
    "responded",
    "response sent",
    "sent back",
    "finished",
    "succeeded",
    "completed",
    "returned",
    "done",
];

/// The same, beside a name alone.
pub(super) const OVER: [&str; 2] = ["end", "total"];

pub(super) static ANSWERS: List = List::new(&[&ANSWERED, &OVER]);

/// What is run before anybody asks, and what nobody asks a model for.
pub(super) const OTHERS: [&str; 16] = [
    "warm",
    "dry run",
    "self test",
    "selftest",
    "smoke",
    "probe",
    "health",
    " metrics ",
    "epoch",
    "step",
    "train",
    "download",
    "upload",
    "build",
    "connected to",
    "retry",
];

/// Both in one pass, as many lines are looked at.
pub(super) static NAME_WORDS: List = List::new(&[&CALLED, &NAMED]);
pub(super) static OTHER_WORDS: List = List::new(&[&OTHERS]);

/// Folders that no server is asked for.
pub(super) const FOLDERS: [&str; 30] = [
    "models",
    "model",
    "data",
    "opt",
    "srv",
    "usr",
    "var",
    "tmp",
    "home",
    "mnt",
    "root",
    "etc",
    "dev",
    "proc",
    "run",
    "lib",
    "bin",
    "app",
    "cache",
    "weights",
    "ckpt",
    "ckpts",
    "checkpoints",
    "checkpoint",
    "workspace",
    "scratch",
    "m",
    "w",
    "media",
    "repo",
];
