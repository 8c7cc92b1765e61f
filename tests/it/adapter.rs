//! Commands and endpoints that a configuration declares, on the real binary.

use serde_json::{Value, json};

use crate::common::http::{Answer, Request};
use crate::common::{Daemon, Place, errors, wait_for};
use crate::tcp::{addresses, exchange};

/// A system with the surface of an older one.
const CONFIG: &str = r#"
[[root]]
name = "jobs"
path = "jobs"
[[rule]]
name = "old jobs"
root = "jobs"
expire = "1h"
since = "mtime"
skip_open = "if-known"
schedule = "manual"
[adapter]
role = "operator"
timezone = "UTC"
error = '''{
  "detail": [{% for p in error.params %}{"loc": [{{ p.where }}, {{ p.name }}], "type": {{ p.code }}, "input": {{ p.given }}},{% endfor %}],
  "message": {{ error.message }},
}'''
status = { invalid = 422 }
[templates]
result = '{"removed": {{ report.removed | map(attribute="name") | list }}, "files": {{ report.rules["old jobs"].files }}, "dry_run": {{ run.dry_run }}, "label": {{ params.label }},}'
[[command]]
name = "cleanup"
help = "Remove old jobs"
request = '{"dry_run": {{ params.dry_run }}, {% if params.hours is not none %}"retention": {"*": {{ params.hours ~ "h" }}},{% endif %}}'
text = '''
removed {{ report.files }} of {{ before.roots.jobs.files }}, {{ after.roots.jobs.files }} left'''
json = '{% include "result" %}'
log = [
  { on = "start", text = "begins" },
  { on = "item", level = "debug", text = "went: {{ item.name }}" },
  { on = "problem", level = "error", text = "{{ problem.text }}" },
  { on = "end", when = "run.dry_run", text = "this was a dry run" },
]
log_line = "{{ level | upper }} {{ text }}"
exit = { errors = 3, failed = 4 }
files = [{ name = 'summary.json', output = "json" }]
[command.params]
dry_run = { type = "bool", default = false }
hours = { type = "integer", min = 0, max = 1000 }
label = { type = "string" }
verbose = { type = "flag", short = "v", level = "debug", in = ["flag"] }
[[endpoint]]
route = "POST /api/cleanup"
use = "cleanup"
help = "Remove old jobs"
answer = '{"success": true, "result": {% include "result" %}}'
[[endpoint]]
route = "POST /api/plain"
use = "cleanup"
[[endpoint]]
route = "GET /api/usage"
operation = "stats"
role = "viewer"
answer = '{"files": {{ after.roots.jobs.files }}, "old": {{ after.rules["old jobs"].due_files }}}'
"#;

/// A place with two old files, and one that is young.
fn place() -> Place {
    let place = Place::new();
    place.config(CONFIG);
    for name in ["jobs/old1", "jobs/old2", "jobs/young"] {
        let path = place.write(name);
        if !name.ends_with("young") {
            let age = std::time::Duration::from_hours(2);
            crate::common::trees::set_age(&path, age).unwrap();
        }
    }
    place
}

fn arguments<'a>(config: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    [&["--config", config, "run", "cleanup"], words].concat()
}

fn post(target: &str) -> Request {
    Request::new("POST", target)
}

#[test]
fn a_command_answers_alike_with_and_without_a_daemon() {
    let mut outputs = Vec::new();
    for has_daemon in [true, false] {
        let place = place();
        let config = place.config_path();
        let _daemon = has_daemon.then(|| place.serve_again());
        let dry = place.run(&arguments(&config, &["--dry-run", "-v"]));
        assert_eq!(
            errors(&dry),
            "INFO begins\nDEBUG went: old1\nDEBUG went: old2\nINFO this was a dry run\n"
        );
        let dry = String::from_utf8(dry.stdout).unwrap();
        assert_eq!(dry, "removed 2 of 3, 3 left\n");
        assert!(!place.exists("summary.json"), "a dry run writes nothing");
        let real = place.run(&arguments(&config, &["--output", "json", "--lab=x"]));
        assert_eq!(
            (errors(&real), real.status.code()),
            ("INFO begins\n".to_owned(), Some(0))
        );
        let real: Value = serde_json::from_slice(&real.stdout).unwrap();
        assert_eq!(
            real,
            json!({ "removed": ["old1", "old2"], "files": 2, "dry_run": false, "label": "x" })
        );
        assert!(!place.exists("jobs/old1") && place.exists("jobs/young"));
        let written = std::fs::read_to_string(place.path("summary.json")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), real);
        let all = place.said(&arguments(&config, &["--hours", "0"]));
        outputs.push((dry, real, all));
    }
    assert_eq!(outputs[0], outputs[1]);
    assert_eq!(outputs[0].2, "removed 1 of 1, 0 left\n");
}

#[test]
fn an_endpoint_without_an_answer_has_the_output_of_its_command() {
    let place = place();
    let daemon = place.serve_again();
    let wanted = json!({ "removed": ["old1", "old2"], "files": 2, "dry_run": false, "label": "x" });
    let answer = endpoint(&daemon, &post("/api/plain?label=x"));
    assert_eq!(answer, (200, wanted));
}

#[test]
fn what_cannot_run_says_so_with_the_status_of_the_command() {
    let place = place();
    let config = place.config_path();
    for (words, wanted) in [
        (
            &["--hours", "x"][..],
            "--hours \"x\": it is not a whole number",
        ),
        (&["--hours", "-1"], "is less than 0"),
        (&["--nonsense"], "unexpected argument"),
        (&["--dry-run=maybe"], "is neither true nor false"),
    ] {
        let output = place.run(&arguments(&config, words));
        assert_eq!(output.status.code(), Some(4), "{words:?}");
        assert!(errors(&output).contains(wanted), "{}", errors(&output));
    }
    let unknown = place.run(&["--config", &config, "run", "clean"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        errors(&unknown).contains("known: cleanup"),
        "{}",
        errors(&unknown)
    );
    assert!(place.exists("jobs/old1"), "nothing was removed");
    // A root that is gone is an error in the report.
    std::fs::remove_dir_all(place.path("jobs")).unwrap();
    let output = place.run(&arguments(&config, &[]));
    assert!(errors(&output).contains("ERROR"), "{}", errors(&output));
    assert_ne!(output.status.code(), Some(0));
}

#[test]
fn what_is_declared_is_listed_and_tried_without_doing_it() {
    let place = place();
    let config = place.config_path();
    let listed = place.said(&["--config", &config, "adapter", "ls"]);
    assert!(
        listed.contains("lapsed run cleanup") && listed.contains("GET /api/usage"),
        "{listed}"
    );
    assert_eq!(listed, place.said(&["--config", &config, "run"]));
    let order = [
        "--config", &config, "adapter", "render", "cleanup", "--hours", "5",
    ];
    let order: Value = serde_json::from_str(&place.said(&order)).unwrap();
    assert_eq!(order["retention"], json!({ "*": "5h" }));
    let help = place.said(&arguments(&config, &["--help"]));
    assert!(
        help.contains("--hours <N>") && help.contains("Remove old jobs"),
        "{help}"
    );
    assert!(place.exists("jobs/old1"));
}

fn endpoint(daemon: &Daemon, request: &Request) -> (u16, Value) {
    let answer = daemon.send(request);
    (answer.status, serde_json::from_str(&answer.text()).unwrap())
}

#[test]
fn an_endpoint_takes_its_parameters_from_query_and_body() {
    let place = place();
    let daemon = place.serve_again();
    let result = |files: &[&str], dry: bool, label: Value| json!({ "success": true, "result": { "removed": files, "files": files.len(), "dry_run": dry, "label": label } });
    let (status, body) = endpoint(&daemon, &post("/api/cleanup/?dry_run=true&label=a"));
    assert_eq!(
        (status, body),
        (200, result(&["old1", "old2"], true, json!("a")))
    );
    let both = post("/api/cleanup?dry_run=1").json(r#"{"dry_run": true, "hours": null}"#);
    assert_eq!(endpoint(&daemon, &both).0, 200);
    let (status, body) = endpoint(&daemon, &Request::get("/api/usage"));
    assert_eq!((status, body), (200, json!({ "files": 3, "old": 2 })));
    let head = daemon.send(&Request::new("HEAD", "/api/usage"));
    assert_eq!((head.status, head.text()), (200, String::new()));
    for (request, wanted) in [
        (
            post("/api/cleanup?dry_run=maybe"),
            json!([{ "loc": ["query", "dry_run"], "type": "bool_parsing", "input": "maybe" }]),
        ),
        (
            post("/api/cleanup?dryrun=true"),
            json!([{ "loc": ["query", "dryrun"], "type": "unknown", "input": "true" }]),
        ),
        (
            post("/api/cleanup?hours=5").json(r#"{"hours": 6}"#),
            json!([{ "loc": ["body", "hours"], "type": "contradiction", "input": 6 }]),
        ),
        (
            post("/api/cleanup").json(r#"{"hours": [1], "verbose": true}"#),
            json!([
                { "loc": ["body", "hours"], "type": "int_parsing", "input": [1] },
                { "loc": ["body", "verbose"], "type": "unknown", "input": true },
            ]),
        ),
        (post("/api/cleanup").json("[]"), json!([])),
        (post("/api/cleanup?hours=5&hours=5"), json!([])),
    ] {
        let (status, body) = endpoint(&daemon, &request);
        assert_eq!((status, &body["detail"]), (422, &wanted), "{body}");
        assert!(body["message"].is_string());
    }
    assert_eq!(
        daemon
            .send(&post("/api/cleanup").body("dry_run=true"))
            .status,
        415
    );
    let wrong = daemon.send(&Request::new("DELETE", "/api/cleanup"));
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("post")));
    assert_eq!(daemon.send(&post("/api/other")).status, 404);
    assert!(
        place.exists("jobs/old1"),
        "nothing of this removed anything"
    );
    let (status, body) = endpoint(&daemon, &post("/api/cleanup"));
    assert_eq!(
        (status, body),
        (200, result(&["old1", "old2"], false, Value::Null))
    );
    assert!(!place.exists("jobs/old1") && place.exists("jobs/young"));
}

#[test]
fn hostile_values_change_nothing_but_their_own_member() {
    let place = place();
    let daemon = place.serve_again();
    for label in [
        "{{ 7 * 7 }}{% for x in range(9) %}",
        "\"}, \"files\": 99, \"x\": {\"y\": \"",
        "a\nb\r\n\u{2028}\\\"'</script>",
        "${HOME}$(id)`id`",
    ] {
        let request =
            post("/api/cleanup").json(&json!({ "dry_run": true, "label": label }).to_string());
        let (status, body) = endpoint(&daemon, &request);
        assert_eq!(status, 200);
        assert_eq!(body["result"]["label"], label);
        assert_eq!(body["result"]["files"], 2);
        assert_eq!(body["result"].as_object().unwrap().len(), 4);
    }
    let large = "x".repeat(1_000_000);
    let request =
        post("/api/cleanup").json(&json!({ "dry_run": true, "label": large }).to_string());
    assert_eq!(endpoint(&daemon, &request).1["result"]["label"], large);
    let larger = json!({ "dry_run": false, "label": "x".repeat(1 << 20) }).to_string();
    assert_eq!(daemon.send(&post("/api/cleanup").json(&larger)).status, 413);
    assert!(place.exists("jobs/old1"));
}

#[test]
fn an_endpoint_takes_the_role_that_it_declares() {
    let place = place();
    let config = place.config_path();
    let daemon = place.serve_ready(&["--config", &config, "--http", "127.0.0.1:0"]);
    let address = addresses(&daemon)[0];
    let send = |request: &Request| {
        let bytes = request.clone().host(&address.to_string()).to_last_bytes();
        Answer::parse(exchange(address, &bytes).as_bytes())
    };
    let token = |role: &str| {
        let made = place.said(&["token", "new", "--role", role, "--name", role]);
        made.lines().last().unwrap().to_owned()
    };
    let (viewer, operator) = (token("viewer"), token("operator"));
    let none = send(&post("/api/cleanup?dry_run=true"));
    assert_eq!(none.status, 401);
    assert!(none.header("www-authenticate").is_some());
    assert_eq!(none.json()["message"], "the request has no credentials");
    let dry = post("/api/cleanup?dry_run=true");
    assert_eq!(
        send(&dry.clone().bearer(&viewer)).status,
        403,
        "the adapter wants an operator"
    );
    assert_eq!(
        send(&Request::get("/api/usage").bearer(&viewer)).status,
        200
    );
    // A parameter is not looked at before the role is known.
    assert_eq!(send(&post("/api/cleanup?x=1").bearer(&viewer)).status, 403);
    assert_eq!(send(&dry.bearer(&operator)).status, 200);
    let removed = send(&post("/api/cleanup").bearer(&operator));
    assert_eq!(
        (removed.status, removed.json()["result"]["files"].as_u64()),
        (200, Some(2))
    );
    let line = crate::common::evidence::ledger(&place).pop().unwrap();
    assert_eq!(line["by"], json!({ "token": "operator" }));
}

#[test]
fn a_schedule_runs_a_command_with_its_report() {
    let place = place();
    let schedule = "[[schedule]]\nname = \"startup\"\non_start = true\ncommand = \"cleanup\"\n\
                    params = { label = \"start\" }\n";
    place.config(&[CONFIG, schedule].concat());
    let daemon = place.serve_again();
    daemon.wait_until_said("INFO begins");
    place.wait_until_gone(&daemon, "jobs/old1");
    let runs = wait_for("the run", || {
        let (_, runs) = daemon.get("/v1/runs");
        runs["runs"][0]["finished"]
            .is_string()
            .then(|| runs["runs"].clone())
    });
    assert_eq!(runs.as_array().unwrap().len(), 1, "{runs}");
    assert_eq!(
        (&runs[0]["cause"], &runs[0]["schedule"]),
        (&json!("start"), &json!("startup"))
    );
    let summary = wait_for("its file", || {
        let text = std::fs::read_to_string(place.path("summary.json")).ok()?;
        serde_json::from_str::<Value>(&text).ok()
    });
    assert_eq!(
        (&summary["label"], &summary["files"]),
        (&json!("start"), &json!(2))
    );
    assert!(place.exists("jobs/young"));
    for (wrong, wanted) in [
        ("command = \"claenup\"", "did you mean \"cleanup\"?"),
        (
            "command = \"cleanup\"\nrules = \"old jobs\"",
            "has both rules and a command",
        ),
        (
            "command = \"cleanup\"\nparams = { hours = \"x\" }",
            "params.hours is not a whole number",
        ),
    ] {
        place.config(&format!(
            "{CONFIG}[[schedule]]\nname = \"s\"\non_start = true\n{wrong}\n"
        ));
        let refused = place.run(&["--config", &place.config_path(), "check"]);
        assert!(errors(&refused).contains(wanted), "{}", errors(&refused));
    }
}

#[test]
fn tcp_may_offer_nothing_but_endpoints() {
    let place = place();
    let config = place.config(&format!("[http]\nserve = \"adapters\"\n{CONFIG}"));
    let daemon = place.serve_ready(&[
        "--config",
        config.to_str().unwrap(),
        "--http",
        "127.0.0.1:0",
    ]);
    let address = addresses(&daemon)[0];
    let status = |path: &str| {
        let request = Request::get(path).host(&address.to_string());
        Answer::parse(exchange(address, &request.to_last_bytes()).as_bytes()).status
    };
    for path in [
        "/v1/health",
        "/v1/status",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/x",
    ] {
        assert_eq!(status(path), 404, "{path}");
    }
    assert_eq!(status("/api/usage"), 401);
    assert_eq!(daemon.get("/v1/health").0, 200, "the socket offers all");
}

#[test]
fn endpoints_are_in_the_document_and_change_with_a_reload() {
    let place = place();
    let daemon = place.serve_again();
    let (_, document) = daemon.get("/openapi.json");
    let operation = &document["paths"]["/api/cleanup"]["post"];
    assert_eq!(
        (&operation["x-role"], &operation["summary"]),
        (&json!("operator"), &json!("Remove old jobs"))
    );
    let names: Vec<_> = operation["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["dry_run", "hours", "label"]);
    let example = &operation["responses"]["200"]["content"]["application/json"]["example"];
    assert_eq!(example["success"], true);
    assert!(operation["responses"]["422"].is_object());
    let page = daemon.send(&Request::get("/docs")).text();
    assert!(page.contains("/api/cleanup"), "{page}");
    place.config(&CONFIG.replace("/api/cleanup", "/api/tidy"));
    place.said(&["reload"]);
    assert_eq!(daemon.send(&post("/api/cleanup?dry_run=true")).status, 404);
    assert_eq!(daemon.send(&post("/api/tidy?dry_run=true")).status, 200);
    place.config(&CONFIG.replace("report.removed", "report.removd"));
    let failed = place.run(&["reload"]);
    assert!(
        errors(&failed).contains("fails on an invented result"),
        "{}",
        errors(&failed)
    );
    assert_eq!(
        daemon.send(&post("/api/tidy?dry_run=true")).status,
        200,
        "what runs goes on"
    );
}
