//! Clients that are shipped: `config/clients`.

use std::process::Command;

use crate::common::{Place, errors};

/// Runs the Python client's check with these arguments.
#[track_caller]
fn check(arguments: &[&str]) {
    let repository = env!("CARGO_MANIFEST_DIR");
    let output = Command::new("python3")
        .args(["-B", "-W", "error"])
        .arg(format!("{repository}/tests/it/clients/check.py"))
        .arg(format!("{repository}/config/clients"))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said == "agreed\n",
        "{arguments:?}: {}",
        errors(&output)
    );
}

#[test]
fn the_python_client_has_all_operations_and_carries_them_out() {
    let place = Place::new();
    let root = place.make_dir("root");
    for name in ["a", "b", "c", "d", "e"] {
        std::fs::write(root.join(name), "x").unwrap();
    }
    let watch = format!("{}=1h", root.display());
    let daemon = place.serve(&["--watch", &watch, "--http", "127.0.0.1:0"]);
    let (_, status) = daemon.get("/v1/status");
    let address = status["http"][0]["address"].as_str().unwrap();
    let url = format!("http://{address}");

    let (_, document) = daemon.get("/openapi.json");
    let [document_file, token_file] = ["openapi.json", "token"].map(|name| place.path(name));
    std::fs::write(&document_file, document.to_string()).unwrap();
    let made = place.said(&[
        "--json", "token", "new", "--role", "operator", "--name", "ci",
    ]);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    std::fs::write(&token_file, made["token"].as_str().unwrap()).unwrap();

    let [document, token] = [&document_file, &token_file].map(|path| path.to_str().unwrap());
    check(&[place.socket().to_str().unwrap(), document]);
    std::fs::remove_file(root.join("new")).unwrap();
    check(&[&url, document, token]);
}
