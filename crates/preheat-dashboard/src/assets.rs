//! Generated from `web/dist` by `cargo xtask codegen`.

use super::Asset;

pub(crate) const ASSETS: &[Asset] = &[
    Asset {
        path: "assets/7b-Cf8dxxj8.ndjson",
        content: include_bytes!("../../../web/dist/assets/7b-Cf8dxxj8.ndjson"),
    },
    Asset {
        path: "assets/bad-gate-wa2xtnOQ.ndjson",
        content: include_bytes!("../../../web/dist/assets/bad-gate-wa2xtnOQ.ndjson"),
    },
    Asset {
        path: "assets/icon-DArJ52jQ.svg",
        content: include_bytes!("../../../web/dist/assets/icon-DArJ52jQ.svg"),
    },
    Asset {
        path: "assets/index-8GdSD5zs.css",
        content: include_bytes!("../../../web/dist/assets/index-8GdSD5zs.css"),
    },
    Asset {
        path: "assets/index-BwxoipgF.js",
        content: include_bytes!("../../../web/dist/assets/index-BwxoipgF.js"),
    },
    Asset {
        path: "assets/scale-to-zero-B5GgjYVR.ndjson",
        content: include_bytes!("../../../web/dist/assets/scale-to-zero-B5GgjYVR.ndjson"),
    },
    Asset {
        path: "assets/spike-Bjecen_x.ndjson",
        content: include_bytes!("../../../web/dist/assets/spike-Bjecen_x.ndjson"),
    },
    Asset {
        path: "assets/uPlot-CnsZ1jie.css",
        content: include_bytes!("../../../web/dist/assets/uPlot-CnsZ1jie.css"),
    },
    Asset {
        path: "assets/uPlot.esm-BScb58at.js",
        content: include_bytes!("../../../web/dist/assets/uPlot.esm-BScb58at.js"),
    },
    Asset {
        path: "index.html",
        content: include_bytes!("../../../web/dist/index.html"),
    },
];
