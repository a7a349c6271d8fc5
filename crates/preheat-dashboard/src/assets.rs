//! Generated from `web/dist` by `cargo xtask codegen`.

use super::Asset;

pub(crate) const ASSETS: &[Asset] = &[
    Asset {
        path: "assets/icon-DArJ52jQ.svg",
        content: include_bytes!("../../../web/dist/assets/icon-DArJ52jQ.svg"),
    },
    Asset {
        path: "assets/index-DX2Q3gga.js",
        content: include_bytes!("../../../web/dist/assets/index-DX2Q3gga.js"),
    },
    Asset {
        path: "assets/index-y4zSBXjw.css",
        content: include_bytes!("../../../web/dist/assets/index-y4zSBXjw.css"),
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
