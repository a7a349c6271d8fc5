//! Memory, devices and patience run out: in plain words.

use super::super::super::cause::Cause;
use super::super::{Beside, Mark, Meaning, Pair, Rule};

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        means: Meaning::Names(Cause::OutOfMemory),
        confidence: 0.75,
        says: &[
            "gib needed + gib free",
            "gb needed + gb free",
            "mib needed + mib free",
            "gib needed + gib present",
            "gib needed + gib available",
            "gb needed + gb available",
            "needs + gib + only + gib",
            "needs + gb + only + gb",
            "allocation of + failed",
            "allocation + mib failed",
            "allocation + gib failed",
            "failed to reserve + gib",
            "failed to reserve + mib",
            "could not reserve + gib",
            "needs + vram + free",
            "needs + of vram",
            "container limit + reached",
        ],
        pairs: &[],
        except: &[
            "disk",
            "space left",
            "scratch",
            "swap",
            "network",
            "ip allocation",
        ],
        beside: Beside::Anything,
        example: "10:00:09 allocation of 512 MiB failed",
        counter: "10:00:09 disk: 14 GiB needed, 12 GiB free",
    },
    // Somebody asks for some of it, and does not get it.
    Rule {
        means: Meaning::Names(Cause::OutOfMemory),
        confidence: 0.75,
        says: list!(
            "request for|allocation|alloc|reserve|reservation|mmap|malloc|asked for|\
             asked allocator|asking for|wanted|placing|claim|map |mapping|grow|arena"
        ),
        pairs: &[],
        except: list!(
            "access denied|falling back|fallback|by policy|permission|image|disk|ip |subnet|quota|request denied|retry|\
             retrying|node|gpu quota|file descriptor|schedule|largest free|huge page|\
             hugepages"
        ),
        beside: Beside::All(&[NOT_GIVEN, OF_MEMORY]),
        example: "device says: request for 268435456 bytes denied, 11 MB left",
        counter: "request for 268435456 bytes granted, 11 GB left",
    },
    Rule {
        means: Meaning::Names(Cause::OutOfMemory),
        confidence: 0.8,
        says: list!(
            "card + exhausted|gpu 0 + exhausted|device 0 + exhausted|vram + exhausted|largest free block|arena full|arena is full|swap full|rss over|rss above|rss exceeds|memory cap|memory ceiling|jetsam|low memory killer|lowmemorykiller|earlyoom|systemd oomd|killed by oomd|array buffer allocation failed|no available memory|enomem|out of device memory|out of host memory|out of gpu memory|\
             out of cuda memory|out of system memory|gc overhead limit exceeded|heap limit|\
             std::bad alloc|bad alloc|memory ran out|ran out of memory|runs out of memory|\
             run out of memory|card ran dry|device ran dry|memory ran dry|out of vram|\
             out of hbm|out of ram|no memory left|memory is full|card is full|vram is full|\
             vram full|heap is full|memory exhausted|exhausted memory|not enough vram|\
             not enough ram|not enough hbm|hip: out of|erroroutofdevicememory|\
             outofdevicememory|erroroutofmemory|outofmemory|memory limit reached|\
             hit memory limit|memory limit hit|over its memory limit|exceeded its memory|\
             above its memory limit"
        ),
        pairs: &[],
        except: list!("if |may |avoid|disk|no out of|metric|alert|retry|expr:|can run out"),
        beside: Beside::Anything,
        example: "mmap: ENOMEM",
        counter: "to avoid ENOMEM, lower the batch",
    },
    // More is needed than there is: figures tell.
    Rule {
        means: Meaning::Marks(Mark::Needs),
        confidence: 1.0,
        says: &[
            "need",
            "requires",
            "required",
            "requested",
            "allocate",
            "reserve",
            "wants",
            "takes",
            "take ",
            "estimated",
            "ask for",
            "asks for",
        ],
        pairs: &[],
        except: &[
            "disk",
            "storage",
            "space left",
            "network",
            "bandwidth",
            "upload",
            "request body",
            "nodes are available",
        ],
        beside: Beside::All(&[&[
            "memory",
            "vram",
            "hbm",
            "ram",
            "gpu",
            "cuda",
            "card",
            "device",
            "heap",
            "container",
            "pod",
        ]]),
        example: "tensor blk.31 needs 512 MiB, card has 80 MiB left",
        counter: "disk: model needs 14 GiB, 12 GiB free",
    },
    Rule {
        means: Meaning::Names(Cause::OutOfMemory),
        confidence: 0.75,
        says: list!(
            "no way to fit|cannot fit|can't fit|won't fit|will not fit|never fit|would not fit|\
             does not fit on|do not fit on|doesn't fit on|too big for|too large for"
        ),
        pairs: &[],
        except: &[
            "schedule", "disk", "node", "pod ", "bucket", "request", "batch is", "header",
        ],
        beside: Beside::All(&[
            OF_MEMORY,
            &[
                "gpu", "card", "device", "memory", "vram", "ram", "weights", "model",
            ],
        ]),
        example: "GPU 0: 15.9 GiB; weights want 16.4 GiB. There is no way to fit this.",
        counter: "GPU 0: 15.9 GiB; weights fit.",
    },
    // None of it is on the device that it could be on.
    Rule {
        means: Meaning::Names(Cause::DeviceFallback),
        confidence: 0.75,
        says: &[
            "offloaded 0/",
            "0 layers offloaded",
            "0 layers on gpu",
            "layers offloaded",
            "offloading 0 ",
        ],
        pairs: &[],
        except: &["offloaded 0/0"],
        beside: Beside::All(&[&[
            "offloaded 0/",
            "0/32",
            "0/33",
            "0/41",
            "0/49",
            "0/61",
            "0/65",
            "0/81",
            "0 layers",
            "offloading 0 ",
        ]]),
        example: "load_tensors: offloaded 0/33 layers to GPU",
        counter: "load_tensors: offloaded 33/33 layers to GPU",
    },
    Rule {
        means: Meaning::Names(Cause::ForkAfterCuda),
        confidence: 0.85,
        says: &[
            "touched cuda before fork",
            "used cuda before fork",
            "cuda before fork()",
            "gpu before fork",
            "cuda in parent + fork",
            "cuda context + across fork",
            "cuda + survive fork",
            "cuda + inherited + fork",
        ],
        pairs: &[],
        except: &["not touch", "never touch", "do not"],
        beside: Beside::Anything,
        example: "worker 2: the parent had already touched CUDA before fork(), the handle is invalid",
        counter: "workers were forked, CUDA is touched after that",
    },
    Rule {
        means: Meaning::Names(Cause::WorkerTimeout),
        confidence: 0.85,
        says: &[
            "failed to boot within",
            "did not boot within",
            "did not boot in time",
            "terminating timed out worker",
            "timed out waiting for up message",
            "did not send ready within",
            "did not report ready within",
            "did not report within + kill",
            "still loading + kill",
            "killed while loading",
            "killed during load",
            "killed while importing",
            "no heartbeat + kill",
            "while loading + killed",
            "silent for + killed",
            "killed + not online within",
            "not online within + kill",
            "not up within + kill",
            "loading timed out",
            "load timed out",
            "timed out + killing",
            "timed out while loading",
            "did not load within",
            "initialization timed out",
        ],
        pairs: &[],
        except: &["liveness", "startup probe", "out of memory", "oom"],
        beside: Beside::Anything,
        example: "[1] ! Terminating timed out worker (Worker 2 failed to boot within 60 seconds): 31",
        counter: "[1] - Worker 0 (PID: 7) booted in 5.8s, phase: 0",
    },
    Rule {
        means: Meaning::Names(Cause::DeviceFallback),
        confidence: 0.8,
        says: &[
            "cuda requested + cpu used",
            "gpu requested + cpu used",
            "no kernel image + cpu",
            "device=cuda requested + cpu",
            "device 'cuda + not found",
            "device \"cuda + not found",
            "asked for cuda + using cpu",
            "wanted cuda + got cpu",
            "wanted gpu + got cpu",
            "cuda:0 + cpuexecutionprovider",
            "cuda + not found + cpuexecutionprovider",
        ],
        pairs: &[Pair(NO_DEVICE, ON_CPU)],
        except: &[
            "as requested",
            "as configured",
            "not requested",
            "if no",
            "from config",
        ],
        beside: Beside::Anything,
        example: "WARN no GPU visible, computing on the CPU instead",
        counter: "INFO device=cpu (from config)",
    },
];

const NOT_GIVEN: &[&str] = list!(
    "denied|refused|rejected|turned down|not granted|failed|not possible|no room|ran dry|\
     ran out|exhausted|impossible|got nothing|got none|too much"
);

const OF_MEMORY: &[&str] = list!("bytes|mb|mib|gb|gib|memory|vram|hbm|ram|heap|pages");

const NO_DEVICE: &[&str] = &[
    "no gpu",
    "no gpus",
    "no cuda",
    "no accelerator",
    "no device",
    "no npu",
    "gpu missing",
    "mps not available",
    "mps is not available",
    "gpu absent",
    "gpu not present",
    "gpu not visible",
    "cuda not usable",
    "cuda unusable",
    "cuda failed",
    "gpu failed",
    "sees 0 devices",
    "0 devices",
    "0 gpus",
    "no devices",
    "finds no gpu",
    "cuda unavailable",
    "gpu unavailable",
    "cuda provider unavailable",
    "no kernel image",
    "ep not available",
    "provider not available",
];

const ON_CPU: &[&str] = &[
    "on cpu",
    "cpu instead",
    "set to cpu",
    "using cpu",
    "use cpu",
    "cpu is used",
    "cpu used",
    "to cpu",
    "device=cpu",
    "device: cpu",
    "placed on cpu",
    "runs on cpu",
    "stays on cpu",
    "cpu provider",
    "goes to cpu",
    "cpu ep",
];
