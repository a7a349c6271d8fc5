//! The same as in the lists beside it, in further words: which rules pair with them stands where those are.

/// What is run through the model before readiness.
pub(in crate::rules) const TRIES: &[&str] = list!(
    "before door|known + check|known + agree|known + must|synthetic|made up|control question|\
     control sample|control input|fixed input|fixed sentence|fixed prompt|fake request|\
     trying itself|tries itself|proving run|shakedown|quality gate|quality check|dry forward|\
     dry pass|opening drill|startup exam|exam:|known label|known output|known result|\
     boot.verify|questions first|house question|asked first|test drive|rehearse|\
     probe question|pilot run|gatekeeper|bouncer|doorman|eval gate|own questions"
);

/// What an answer ought to be.
pub(in crate::rules) const SHOULD_BE: &[&str] =
    list!("book says|key says|label says|sheet says|verdict");

/// And that it is not.
pub(in crate::rules) const IS_NOT: &[&str] = list!(
    "differ,|differed|book says|key says|label says|sheet says|too slow|slower than|\
     unacceptable|infinite|all zero|all zeros|zeros only|not a number|does not add up|\
     falls over|fell over|choked|chokes|stumbled|cublas status|cudnn status|cudaerror|\
     cut after|came out empty|came back empty|came out wrong"
);

/// The door stays shut.
pub(in crate::rules) const SHUT: &[&str] = list!(
    "replica parked|pod parked|parking it|parked it|serve=false|serving=false|open=false|\
     admit=false|open: cancel|opening cancelled|will not take|won't take|not taking|\
     not letting|keeps 503|keep 503|kept at 503|still 503|: deny|verdict: deny|verdict=deny|\
     verdict=reject|verdict: reject|state=halted|halted|stops before|stopped before|\
     ends before it|gone before it|not let in|not admitted|turned away at|sent home|\
     refused entry|no go|nogo|stays red|turns red|remains red|goes red|thumbs down|veto|\
     isolated|benched|unrouted|fenced|not put in|kept out|stays out|stay out|remains out|\
     left out of rotation|not in rotation|not routed|not exposed|not published|not announced|\
     not offered|not released|not started"
);

/// What computes faster than processors.
pub(in crate::rules) const DEVICE_NAMES: &[&str] =
    list!("config asks|config wants|config said|was configured|chosen device|card|cards");

/// The processor computes.
pub(in crate::rules) const ON_PROCESSOR: &[&str] = list!(
    "host cpu|plain cpu|chosen device: cpu|software path|processor only|slow path|\
     ends up on cpu|cpu it is|cpu then|cpu will do|cpu <|with processors|on processors|\
     processors only|cpu path|cpu mode|cpu fallback|cpu execution|cpu inference|took cpu|\
     on host|in software|cpu ep|cpu device|cpu kernels|cpu for now"
);

/// A device is not there, or not usable.
pub(in crate::rules) const IS_ABSENT: &[&str] = list!(
    "not what config|not what was asked|other than asked|other than configured|rejected|\
     declined|not enumerat|nothing found|no opencl|went away|cannot open|could not open|gone|\
     blocked|not exposed|not mapped|not passed|not mounted|to be seen|no card|none here|\
     not detected|undetected|not discovered|not loadable|cannot load|can't load|init failed|\
     failed to init|fell off|driver mismatch|driver too old|version mismatch|\
     permission denied|no permission|none available|no such device|no such gpu|says no|\
     not answering|turned off|disabled in|is not there|nothing there|not there"
);

/// Somebody waits for a place to run.
pub(in crate::rules) const WAITS_FOR_A_PLACE: &[&str] = list!(
    "waiting for a home|unplaced|not placed|nowhere to|homeless|parked until|on waiting list|\
     back to queue|back in queue|back in line|no slot|no seat|no berth|no host for|\
     no node for|no machine for|without a node|without node|without a host|without a place|\
     have no node|has no node"
);

/// What a container is made of.
pub(in crate::rules) const IMAGES: &[&str] = list!(
    "quay.io|docker.io|nvcr.io|pull token|pull secret|pull refused|pull denied|pull failed|\
     pull credentials|@sha256:|img "
);

/// It is not handed out, or not there.
pub(in crate::rules) const DENIED: &[&str] = list!(
    "no such tag|refused|without its image|ran out on|expired|unreachable|timed out|\
     cannot start|pruned|pruned on|no copy|wrong digest|thrown away|digest|amd64 only|\
     arm64 only|cannot run|wrong platform|other platform|no such platform|not pullable|\
     blob unknown|unknown blob|layer missing|missing layer|layer corrupt|login required|\
     auth required|authentication required|token expired|x509|registry down|rate limit|\
     too many requests|429|quota exceeded|no such repository|name unknown|tag gone|\
     tag missing|digest missing|wrong arch|will not come|cannot be had|cannot be fetched|\
     not to be had|came back empty|broke off|aborted"
);

/// One process came from another.
pub(in crate::rules) const FORK: &[&str] = list!(
    "parent|inherit|inherited|mother|twin|after fork|post fork|os.fork|multiprocessing|\
     copied from|clone(|pre forked|preforked|preload|another process|other process|clon"
);

/// What it had of the device is of no use.
pub(in crate::rules) const SPOILT: &[&str] = list!(
    "had cuda|had gpu|had hip|had a cuda|has cuda open|already held|already had|already open|\
     already using|already touched|held a |parent owned|parent owns|parent's context|\
     parent holds|process image|cannot be shared|cannot cross|across fork|before it forked|\
     before we forked|before forking|prior to fork|errorinitializationerror|\
     cudaerrorinitializationerror|dead on arrival|stale|does not work here|not work here|\
     came over from|useless|cannot be used|can't be used|not allowed in|not possible in|\
     illegal in|fails in|broken in|dead in|before children|before workers|before it split|\
     initialised too early|initialized too early|too early|left over from"
);

/// And what it had of threads is gone.
pub(in crate::rules) const LOST: &[&str] = list!(
    "was alive|were alive|were running|was running|still running|alive in parent|in parent|\
     live in parent|left behind|stayed behind|not here|absent|lock up|locks up|locked up|\
     would block|never return|frozen|froze|orphaned|is locked|held by a thread|lost|not safe|\
     unsafe|missing|not come along|not come over|on one thread|on a single|not come back|\
     does not return|doesn't return|not return|waiting for threads|waits for threads|\
     not available in|none in child|no threads in|threads gone|pool gone|mutex held|\
     never wakes|wakes nobody|does not wake|blocked forever|waiting forever|died with|\
     did not come with|not copied|threads had started|threads were started|pool had started|\
     had been used|is off in"
);

/// Each has one.
pub(in crate::rules) const COPIES: &[&str] = list!(
    "copy of my own|copy of its own|copies|twice|two times|three times|four times|five times|\
     six times|eight times|2 times|3 times|4 times|6 times|8 times|16 times|times over|\
     in each of|in every one|by each|duplicated|multiplied|no preload|no sharing|\
     nothing shared|each rss|private|of its own|for itself|of their own|again for each|\
     anew in each|per child|per proc|per fork|once per|each its own|everyone loads|\
     everybody loads|all of them load|separately|independently|redundant|unshared|\
     not copy on write|replicated|each read|each opened|each has|each have|every one has|\
     each took|in each|in all of|mine alone|same net"
);

/// Several of a kind.
pub(in crate::rules) const PROCESSES: &[&str] = list!(
    "procs|subprocesses|siblings|child|replica processes|handlers|prefork|pre fork|\
     instances of server|uvicorns|gunicorns|per worker|each worker|every worker|each process|\
     every process|each child"
);

/// Somebody is ended.
pub(in crate::rules) const ENDED: &[&str] = list!(
    "gets shot|put to death|reap|evict|destroy|crashing|pulled down|slain|breeding another|\
     starting another|started another|starting a new|starting anew|in its place|discard|\
     slaughter|kill 9|cull|axed|ending it|ends it|end it|put out of|taking it out|\
     dropping it|tossing|dismiss|presumed dead|sigabrt|withdrawn|withdraw|retired|revoked|\
     scrapped|taken back|stopping it|stopped it|stops it|stopping box|stopping instance|\
     stopping machine|stopping container|delete|deleting|failover|fail over|quarantin|eject|\
     expel|kicked|reset|power cycl|cycled|reverted|ending |took it down|pulls plug|\
     pulled plug|lets it go|let it go|unplug|ended by|ended it"
);

/// Nobody answers.
pub(in crate::rules) const UNANSWERED: &[&str] =
    list!("not seen|not heard|no sign|presumed dead|out of service|failed checks|503|500");

/// What lets users in.
pub(in crate::rules) const DOORS: &[&str] =
    list!("door|gate|listener|readiness|traffic|promotion|rollout|go live");

/// It does not.
pub(in crate::rules) const KEPT_SHUT: &[&str] = list!(
    "stays locked|remains locked|kept locked|stays down|remains down|not opened|withheld|\
     held back|cancelled|canceled|blocked|locked|stays off|kept off|barred|no traffic|\
     kept shut|stays closed|kept back|held|red|no go|vetoed|rejected|isolated|fenced|\
     remains shut|remains closed|not granted|not given|not passed on|refused|denied|\
     off limits"
);

/// Somebody does not do something.
pub(in crate::rules) const UNWILLING: &[&str] = list!(
    "will not|won't|must not|not going to|refuse to|refusing to|refuses to|declin|shall not|\
     may not|not fit to|not allowed to|unwilling to|cannot be|not to be"
);

/// What a server does.
pub(in crate::rules) const TO_SERVE: &[&str] = list!(
    "serve|served|open|take users|take traffic|take requests|take calls|accept|go live|\
     come up|join|register|announce|answer|publish|release|let anybody|let anyone|let users|\
     let in|put in|put into|be added|get traffic|see traffic|be promoted|be sent|be used|\
     be exposed"
);

/// Somebody else has it.
pub(in crate::rules) const TAKEN: &[&str] = list!(
    "taken|held by|owned by|owner|belongs to|occupied|sitting on|sits on|squat|in use|busy|\
     not free|claimed|already bound|already has|already holds|somebody else|someone else|\
     another process|other process|another instance|other instance|previous instance|\
     old instance|still holds|still open|still listening|still has|somebody's|listens there|\
     listening there|someone's|collides|collision|conflict|bound twice|in way|double bound|\
     has it already|got there first|was quicker|not given back|not released|never let go|\
     lingering|leftover|someone sits|somebody sits"
);

/// Somebody wanted it in vain.
pub(in crate::rules) const IN_VAIN: &[&str] = list!(
    "cannot|can't|could not|couldn't|unable|failed|fatal|error|leaving|giving up|gave up|\
     refus|abort|exit|bye|quit|stopping|panic|denied|not starting"
);

/// Of what there is too little, and that others have it.
pub(in crate::rules) const NO_HOST: &[&str] = list!(
    "hosts fit|boxes fit|machines fit|nodes fit|hosts match|nodes match|hosts suitable|\
     hosts qualify|nodes qualify|no host fits|no box|no free card|no free gpu|no card free|\
     no idle|has 0 idle|has 1 idle|has 2 idle|has 3 idle|has only 1|has only 2|has only 3|\
     all in use|in use)|all taken|are taken|is taken|all busy|are busy|fully booked|booked|\
     saturated|none left|nothing left|nothing free|none idle|sold out|over quota|too small|\
     short of|no gpu free|no gpus free|too little|turned down|do not qualify|none fits|\
     none qualifies|none suitable|no candidate|0 candidates|is used|are used|in use|no slot|\
     all used|0 of |has 0 |free: 0|free=0|0 free|them: 0|on bench|none of them free|\
     available: 0|available=0|no room on|does not fit on any|fits nowhere|no capacity|\
     capacity exhausted|cluster full|cluster is full|pool is full|pool exhausted|no spare|\
     none spare|vacan|oversubscribed|overcommitted|maxed out|at capacity|capacity reached|\
     node limit|max nodes|quota reached|out of quota|spot unavailable|no offer|\
     offers declined|all full|are full|every one full|none with|0 have|none has|none have|\
     nobody has|no one has"
);

/// A place to compute.
pub(in crate::rules) const PLACES: &[&str] = list!(
    "host|hosts|box|boxes|machine|machines|node|nodes|card|cards|gpu|gpus|accelerator|\
     accelerators|tpu|npu|rack|device|devices|candidates|candidate|slots|vm"
);

/// The same in words that much else waits or asks in.
pub(in crate::rules) const WANTS_A_PLACE: &[&str] = list!(
    "waits for|waiting for|waiting since|in line|queued|placer|placement|asks for|wants|\
     candidates|round of|still waiting|goes on waiting|keeps waiting|waits.|can take|\
     cannot be hosted|pending for|pending since|still pending|unassigned|not assigned|\
     unallocated|not allocated|waitlist|wait list|backlog|no bids|no offer|stays on|\
     held back|on hold|needs|looking for|in search of|asked|homeless"
);
