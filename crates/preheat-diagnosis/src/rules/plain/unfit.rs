//! What is to be served is not as it must be, and whoever was to serve it leaves: in plain words, on one
//! line or on several, which [`crate::unfit`] puts together.

use super::super::super::cause::Cause;
use super::super::words::endings::{BROUGHT_DOWN, NO_LONGER, SILENT};
use super::super::words::otherwise;
use super::super::{Beside, Mark, Meaning, Pair, Rule};
use super::checks::OTHERS_KEEP_IT;
use super::placing::WAITS_FOR_A_PLACE;

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        means: Meaning::Marks(Mark::Faulty),
        confidence: 1.0,
        says: FAULTS,
        pairs: &[],
        except: OTHER_FAULTS,
        beside: Beside::All(&[SERVED_THINGS]),
        example: "tower item: stored 128 columns, code wants 192",
        counter: "tower item: stored 128 columns",
    },
    Rule {
        means: Meaning::Marks(Mark::Leaves),
        confidence: 1.0,
        says: both!(LEAVING, otherwise::SHUT),
        pairs: &[],
        except: list!(
            "connection|client|session ended|room|user |exit 0|exit code 0|exit code: 0|\
             exited 0|status 0|code=0|rc=0|exit=0|code 0|ctrl"
        ),
        beside: Beside::Anything,
        example: "no net, no service; quitting with 3",
        counter: "no news, serving",
    },
    // Whoever waits hears nothing, and ends it: figures and the text around tell who that is.
    Rule {
        means: Meaning::Marks(Mark::Impatient),
        confidence: 1.0,
        says: both!(BROUGHT_DOWN, otherwise::ENDED, NO_LONGER),
        pairs: &[],
        except: list!(
            "request|query|session|connection to|connection from|client|camera|statement|\
             transaction|consumer|upload|download|lock|lease|socket|drain|shutdown|graceful|\
             memory|oom|readiness|postgres|redis|idle for|been idle|training|epoch|backup|\
             pull"
        ),
        beside: Beside::All(&[SILENT]),
        example: "drone-0 has not hummed for 30s. Killing it.",
        counter: "drone-0 hums. Killing time.",
    },
    // Somebody is asked for a sign of life.
    Rule {
        means: Meaning::Marks(Mark::AsksLife),
        confidence: 1.0,
        says: list!("alive|livez|/live|liveness|health|/ping|heartbeat|pulse|/up "),
        pairs: &[],
        except: &["startup probe", "/ready"],
        beside: Beside::Anything,
        example: "guard: asks 127.0.0.1:9000/alive every 10 s",
        counter: "guard: sleeps every 10 s",
    },
    // A port is taken, and somebody cannot have it for that.
    Rule {
        means: Meaning::Names(Cause::AddressInUse),
        confidence: 0.75,
        says: list!(
            "port|address|socket|listen|listener|bind|binding|0.0.0.0|127.0.0.1|[::]|tcp/|\
             .sock|unix:|endpoint"
        ),
        pairs: &[],
        except: list!(
            "instead|trying|next free|another port|email|memory address|ip address|redis|\
             postgres|subnet|resolve"
        ),
        beside: Beside::All(&[otherwise::TAKEN, otherwise::IN_VAIN]),
        example: "cannot have 0.0.0.0:7700, somebody is sitting on it (pid 811, embd)",
        counter: "0.0.0.0:7700 is free",
    },
    // The door stays shut, whoever says so.
    Rule {
        means: Meaning::Marks(Mark::Withheld),
        confidence: 1.0,
        says: otherwise::DOORS,
        pairs: &[Pair(otherwise::UNWILLING, otherwise::TO_SERVE)],
        except: both!(
            OTHERS_KEEP_IT,
            &["connection", "account", "if ", "circuit", "issue"]
        ),
        beside: Beside::Words(both!(otherwise::KEPT_SHUT, otherwise::UNWILLING)),
        example: "19/20 right, need 20/20. Door stays locked.",
        counter: "20/20 right. Door opens.",
    },
    // Nobody has a place for it.
    Rule {
        means: Meaning::Names(Cause::Unschedulable),
        confidence: 0.75,
        says: both!(
            WAITS_FOR_A_PLACE,
            otherwise::WAITS_FOR_A_PLACE,
            otherwise::WANTS_A_PLACE
        ),
        pairs: &[],
        except: list!(
            "vram|gib|request|requests|batch|tokens|kv cache|thread pool|connection|disk|\
             port|memory pool|triggered|epoch|0 pending|\
             no pending|none pending|no pod was pending|no pod is pending|not pending"
        ),
        beside: Beside::All(&[otherwise::NO_HOST, otherwise::PLACES]),
        example: "placer: 0/11 hosts fit, 7 hosts: no free card",
        counter: "placer: host 7 fits",
    },
];

/// What is served, or is a part of it, by whatever name.
const SERVED_THINGS: &[&str] = list!(
    "model|models|weights|checkpoint|artifact|artefact|bundle|net |net,|nets/|network|tensor|\
     tensors|graph|node |operator| op |op:|layer|layers|head|heads|tower|encoder|decoder|\
     embedder|embeddings|classifier|ranker|tagger|forest|trees|booster|gbm|vocab|vocabulary|\
     tokenizer|shard|shards|blob|pickle|onnx|.onnx|.ort|.gguf|.pt|.pth|.bin|.plan|.engine|\
     .npz|.msgpack|.safetensors|/models|parameters|params|recipe|pipeline|predictor|scorer|\
     stream|dimension|engine|.trt|vocabular|matrix|gbdt|.model|\
     .dat|modules|artifacts|.h5|.mdl|net up|weights.|onnx:|archive|\
     .tar|catalog|.so|restored"
);

/// What is wrong with it.
const FAULTS: &[&str] = list!(
    "ends after|ended after|end of stream|end of file|premature|eof|cut off|cut short|is cut|\
     half written|half of|stops at|stops after|breaks off|shorter than|too short|short by|\
     bytes short|bytes missing|incomplete|truncated|lacks|without its|has no |holds no |\
     contains no |is empty|nothing in it|not complete|written by|written with|written for|\
     made with|made by|made for|exported by|exported with|exported for|saved by|saved with|\
     produced by|built for|built with|compiled for|meant for|can't understand|\
     cannot understand|not understand|don't understand|doesn't understand|not understood|\
     knows how to|know how to|does not know|doesn't know|never heard of|unheard of|\
     no idea what|unreadable|illegible|unrecogni|unknown|unsupported|not supported|\
     not implemented|no implementation|no loader|no reader for|no handler for|no parser for|\
     no kernel for|too new|too old|newer than|older than|does not fit|do not fit|don't fit|\
     does not match|do not match|mismatch|disagree|code wants|code expects|we expect|expects|\
     expected|wanted|header says|manifest says|config says|does not add up|does not agree|\
     gone|withdrawn|vanished|enoent|no file|not at|nowhere|nothing at|nothing under|\
     nothing in|not there|no such|not found|missing|eacces|eperm|permission|not allowed to|\
     may not read|forbidden|denied|unauthorized|404|403|401|410 |unavailable|unusable|\
     no usable|no working|no valid|no model|could not get|cannot get|signed by|not signed|\
     unsigned|not trusted|untrusted|bad signature|signature is|turned down|rejected|checksum|\
     digest|crc|fingerprint|magic|corrupt|damaged|broken|garbled|garbage|spoilt|malformed|\
     invalid|not a valid|nonsense|cannot open|cannot read|cannot assemble|cannot bring|\
     cannot build|cannot load|cannot parse|cannot make|cannot use|cannot restore|can't open|\
     can't read|can't load|could not open|could not read|could not load|could not bring|\
     could not build|could not make|failed to|unable to|condition signalled|not made for|\
     made on|compiled on|built on|exported on|tensornotfound|notfound(|unexpected|0 octets|\
     zero octets|0 bytes|was pruned|was deleted|was removed|no longer there|no longer exists|\
     does not exist|do not exist|not installed|no module|refuses|refused|bogus|wrong|\
     inconsistent|disagrees|out of range|overlap|not recogni|can't|cannot|couldn't|could not|\
     looks like|saved under|not same|is not a|isn't a|fails to|not what|refusing|no net |\
     no net,|no engine|no nets|in file, |in checkpoint, |but code|encrypted|we hold|\
     undefined symbol|undefined reference|symbol not found|discarded|no other version|\
     catalog unusable|defect|faulty|flawed|scrambled|conflicting|incompatible|not compatible|\
     does not load|won't load|refuses to load|fails to load|load error|unloadable|\
     cannot be parsed|undecodable|cannot decompress|crc error|bad zip|not a zip|parse error|\
     deserialization|deserialisation|unmarshal|unpickl|version skew|from a newer|\
     from an older|from another version|another architecture|another device|wrong arch|\
     requires version|requires at least|needs version|needs at least|size differs|\
     length differs|dtype|mismatched|shapes differ|different number|missing key|lacks key|\
     absent|not listed|not in index|not in manifest|not in catalog|not in store|not on disk|\
     not in bucket|no trace of|dangling|broken link|not mounted|volume is empty|\
     directory is empty|dir is empty|is unknown|no known|nobody knows|never seen|not allowed|\
     too large|too small|too many|too few|more than it|fewer than|does not contain|\
     contains nothing|zero length|all zero|null engine|not finite|blank|: failed|not one of|\
     asks for op|holds nan|nan in|no such op|is not here|not here"
);

/// Others' faults, or such as nobody minds.
const OTHER_FAULTS: &[&str] = list!(
    "warm|self test|self check|dry run|golden|answer|cosine|sentence|expected output|request|\
     prompt|client|upload|dataset|image|memory|vram|adapter|lora|falling back|fallback|\
     optional|retry|retrying|again in|try again|metric|probe|liveness|fork|port |address|\
     cuda|gpu|timeout|timed out|database|epoch|keeps serving|still serving|previous version|\
     license|licence|certificate|ignored|ignoring|skipping|skipped|default|not fatal|\
     no problem|as expected|cache|host key|schema|log file|migration|feature store|\
     cannot read properties|config file|.yaml|.toml|canary|rollout|analysisrun|training|trainer|\
     train step|train loss"
);

/// Whoever was to serve goes.
const LEAVING: &[&str] = list!(
    "leaving|leave with|bye|quitting|quits|i quit|bail|bailing|shutting myself|shutting down|\
     process ends|process ended|runtime stops|stopping|stops here|stop here|going down|\
     goes down|exit(|exit |exit=|exit:|exits|exiting|exited|(status |status=1|status=2|\
     abandon|halt|dying|aborting|aborted|abort|terminating|giving up|gives up|gave up|\
     given up|fatal|not going to serve|no service|nothing to serve|cannot serve|cannot start|\
     cannot go on|cannot continue|will not start|not starting|not coming up|does not come up|\
     start failed|startup failed|boot failed|unloading myself|crash|panic|sysexit|\
     thread \"main\"|uncaught|unhandled|check failure stack trace|ends with code|\
     ended with code|closing shop|stopped (|stopped with|stopped, code|died|is dead|end,code|\
     ended, code|end code|unwrap()|terminated|down:|gone down|killing myself|that's it|\
     that was it|pulling out|so long|farewell|won't go on|not going on|no point in going on|\
     closing down|shut myself|ending here|ends here|end of story|over and out|giving in|\
     gives in|not started|nothing to score|nothing to do here|out of here|refusing to|\
     i am out|am done|process stops|stops|rc=1|rc=2|rc=3|rc=4|rc=5|rc=6|rc=7|rc=8|rc=9|exit.|\
     exit,|: down|going dark|i stop|halted|resign|bow out|bows out|throwing in|towel|\
     not serving|unable to serve|unable to start|start aborted|startup aborted|\
     start cancelled|boot aborted|init failed|initialization failed|initialisation failed|\
     launch failed|could not start|did not start|never came up|server not started|\
     nothing started|returning 1|ret=1|ret= 1|status 1|status: 1|status=failed|state=failed|\
     state: failed|state=error|phase=failed|service failed|failed state|failed with result|\
     bringing myself down|coming down|collapsed|collapsing|giving way|no way on|no go|segmentation fault|\
     core dumped|sigsegv|sigabrt|sigill|ends with|ended with|no verdict|will end|unwinding"
);
