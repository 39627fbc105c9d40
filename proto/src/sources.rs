//! The `.proto` files themselves, for whoever writes a module in another language or crate.

/// Name below the root of the files, and text.
pub const SOURCES: [(&str, &str); 10] = [
    (
        "lynceus/v1/app.proto",
        include_str!("../proto/lynceus/v1/app.proto"),
    ),
    (
        "lynceus/v1/control.proto",
        include_str!("../proto/lynceus/v1/control.proto"),
    ),
    (
        "lynceus/v1/evidence.proto",
        include_str!("../proto/lynceus/v1/evidence.proto"),
    ),
    (
        "lynceus/v1/flow.proto",
        include_str!("../proto/lynceus/v1/flow.proto"),
    ),
    (
        "lynceus/v1/ingest.proto",
        include_str!("../proto/lynceus/v1/ingest.proto"),
    ),
    (
        "lynceus/v1/module.proto",
        include_str!("../proto/lynceus/v1/module.proto"),
    ),
    (
        "lynceus/v1/outlier.proto",
        include_str!("../proto/lynceus/v1/outlier.proto"),
    ),
    (
        "lynceus/v1/profile.proto",
        include_str!("../proto/lynceus/v1/profile.proto"),
    ),
    (
        "lynceus/v1/query.proto",
        include_str!("../proto/lynceus/v1/query.proto"),
    ),
    (
        "lynceus/v1/status.proto",
        include_str!("../proto/lynceus/v1/status.proto"),
    ),
];
