//! Who may know whom: the boundaries of the design, read from the manifests of the workspace.
//!
//! What only tests need (`[dev-dependencies]`) is not counted.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each of our packages may know of the others.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("messages", &[]),
    ("config", &[]),
    ("crash-points", &[]),
    ("telemetry", &["config"]),
    ("clients", &[]),
    ("entities", &[]),
    ("migration", &[]),
    // So that a mistake in a client is not repeated in its stand-in.
    ("sandbox", &[]),
    ("broker", &["crash-points", "messages"]),
    // It reads entities, and knows neither their migrations nor any provider's client.
    (
        "gateway",
        &[
            "broker",
            "config",
            "crash-points",
            "entities",
            "messages",
            "telemetry",
        ],
    ),
    (
        "workers",
        &[
            "broker",
            "clients",
            "config",
            "crash-points",
            "entities",
            "messages",
            "migration",
            "telemetry",
        ],
    ),
    (
        "test-support",
        &["broker", "entities", "messages", "migration"],
    ),
    (
        "end-to-end",
        &[
            "config",
            "entities",
            "gateway",
            "sandbox",
            "telemetry",
            "test-support",
            "workers",
        ],
    ),
    (
        "hostile-input",
        &[
            "broker", "clients", "config", "gateway", "messages", "workers",
        ],
    ),
    // What Millrace is judged by shares none of its code but the tables, which it reads at the end,
    // and the names of the crash points.
    ("chaos", &["crash-points", "entities", "sandbox"]),
    // What Millrace is measured by shares none of its code but the form of the messages.
    ("bench", &["messages"]),
];

/// Libraries that only these of our packages use.
const ONLY_IN: &[(&str, &[&str])] = &[
    // The bench measures what it is beside the bare client.
    ("lapin", &["broker", "bench"]),
    (
        "reqwest",
        &["clients", "sandbox", "end-to-end", "chaos", "bench"],
    ),
    (
        "axum",
        &["gateway", "sandbox", "telemetry", "chaos", "bench"],
    ),
    ("sea-orm-migration", &["migration"]),
];

#[test]
fn each_package_knows_only_those_it_may() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.keys().map(String::as_str).collect();
    let listed: BTreeSet<&str> = MAY_KNOW.iter().map(|(package, _)| *package).collect();
    assert_eq!(ours, listed, "every package of the workspace has its rule");
    for (package, may_know) in MAY_KNOW {
        for known in &packages[*package] {
            let allowed = !ours.contains(known.as_str()) || may_know.contains(&known.as_str());
            assert!(allowed, "{package} must not know {known}");
        }
    }
}

#[test]
fn each_outside_protocol_has_one_home() {
    for (package, dependencies) in packages() {
        for (library, homes) in ONLY_IN {
            let allowed = !dependencies.contains(*library) || homes.contains(&package.as_str());
            assert!(allowed, "{package} must not use {library}");
        }
    }
}

/// The packages of the workspace and what each depends on.
fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be run");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata failed: {error}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let text = |value: &Value| value.as_str().expect("a name is a text").to_owned();
    let list = |value: &Value| value.as_array().expect("this is a list").clone();
    list(&metadata["packages"])
        .iter()
        .map(|package| {
            let dependencies = list(&package["dependencies"]);
            let needed = dependencies
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| text(&dependency["name"]));
            (text(&package["name"]), needed.collect())
        })
        .collect()
}
