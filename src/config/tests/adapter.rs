//! `[adapter]`, `[[command]]` and `[[endpoint]]`.

use super::*;
use crate::adapter::{Method, Operation};
use crate::core::role::Role;

const RULES: &str =
    "[[root]]\nname = \"jobs\"\npath = \"scratch\"\n[[rule]]\nname = \"old\"\nexpire = \"7d\"\n";

const COMMAND: &str = r#"
[[command]]
name = "tidy"
request = '{"dry_run": {{ params.dry_run }}, "rules": ["old"],}'
text = 'removed {{ report.files }}'
[command.params]
dry_run = { type = "bool", default = false }
days = { type = "integer", min = 0, max = 100 }
"#;

fn with(text: &str) -> Host {
    Host::with(&format!("{RULES}{text}"))
}

#[track_caller]
fn refuses(text: &str, wanted: &str) {
    let refusal = with(text).refusal();
    assert!(refusal.contains(wanted), "{text}\n{refusal}");
}

#[test]
fn endpoints_take_what_they_do_not_say_from_what_they_use() {
    let host = with(&format!(
        r#"{COMMAND}
[adapter]
role = "operator"
timezone = "UTC"
error = '{{"detail": {{{{ error.message }}}}}}'
status = {{ invalid = 422 }}
[[endpoint]]
name = "all"
route = "POST /api/tidy/"
use = "tidy"
answer = '{{"files": {{{{ report.files }}}}}}'
[[endpoint]]
route = "GET /api/tidy"
use = "all"
request = '{{"dry_run": true, "rules": []}}'
role = "viewer"
answer = '{{"files": {{{{ report.files }}}}, "before": {{{{ before.roots.jobs.files }}}}}}'
"#
    ));
    let settings = host.good();
    let adapter = &settings.adapter;
    let [post, get] = &adapter.endpoints[..] else {
        panic!("{adapter:?}");
    };
    assert_eq!((post.method, &*post.path), (Method::Post, "/api/tidy"));
    assert_eq!((get.method, &*get.path), (Method::Get, "/api/tidy"));
    assert_eq!(post.action.operation, Operation::Clean);
    assert_eq!(post.action.params, adapter.commands["tidy"].action.params);
    assert_eq!(get.action.params, post.action.params);
    assert_eq!(
        (post.action.role, get.action.role),
        (Role::Operator, Role::Viewer)
    );
    assert_eq!(get.example, r#"{"files":1,"before":1}"#);
    assert_eq!(adapter.error.status.invalid, Some(422));
    assert_eq!(adapter.at("/api/tidy/").count(), 2);
}

#[test]
fn templates_that_fail_are_refused_with_their_place() {
    for (text, wanted) in [
        (
            "text = '{{ report.file }}'",
            "text fails on an invented result",
        ),
        ("text = '{{ nothing }}'", "`nothing` is undefined"),
        ("text = '{{ report.files'", "is no template"),
        (
            "text = 'x'\njson = '{\"a\": }'",
            "json fails on an invented result: makes no JSON",
        ),
        (
            "text = 'x'\nlog = [{ on = \"end\", when = \"1 +\", text = \"x\" }]",
            "is no template",
        ),
        (
            "text = 'x'\nlog = [{ on = \"job\", text = '{{ item.path }}' }]",
            "`item` is undefined",
        ),
        (
            "text = 'x'\nfiles = [{ name = 'a/b' }]",
            "makes no name of a file",
        ),
        ("text = 'x'\n[templates]\npart = '{{ x }}'", ""),
    ] {
        let text =
            format!("[[command]]\nname = \"tidy\"\nrequest = '{{\"dry_run\": true}}'\n{text}\n");
        if wanted.is_empty() {
            with(&text).good();
        } else {
            refuses(&text, wanted);
        }
    }
    // Variables stay as they are: a template is no place for them.
    let host = with(&COMMAND.replace("removed", "$HOME ${NONE}")).good();
    assert_eq!(host.adapter.commands.len(), 1);
}

#[test]
fn requests_are_orders_that_release_nothing() {
    for (request, wanted) in [
        (
            "{\"dry_run\": true, \"rules\": [\"odl\"]}",
            "names a rule that there is not: \"odl\"",
        ),
        (
            "{\"dry_run\": true, \"roots\": [\"x\"]}",
            "names a root that there is not: \"x\"",
        ),
        (
            "{\"dry_run\": true, \"retention\": {\"x\": \"1d\"}}",
            "names a rule that there is not",
        ),
        (
            "{\"dry_run\": true, \"release\": true}",
            "cannot have \"release\"",
        ),
        ("{\"dry\": true}", "makes no order of a clean"),
        ("{}", "missing field `dry_run`"),
    ] {
        refuses(
            &format!("[[command]]\nname = \"tidy\"\nrequest = '{request}'\n"),
            wanted,
        );
    }
    refuses(
        "[[command]]\nname = \"tidy\"\n",
        "request fails on an invented result: there is no request",
    );
}

#[test]
fn declarations_that_mean_nothing_are_refused() {
    let endpoint =
        |rest: &str| format!("{COMMAND}[[endpoint]]\nuse = \"tidy\"\nanswer = '{{}}'\n{rest}\n");
    refuses(&endpoint("route = \"GET /x\""), "GET would remove files");
    refuses(
        &endpoint("route = \"POST /v1/x\""),
        "is at /v1, which lapsed itself answers",
    );
    refuses(
        &endpoint("route = \"POST /x\"").replace("use = \"tidy\"", "use = \"tdy\""),
        "did you mean \"tidy\"?",
    );
    let twice = endpoint("route = \"POST /x\"").replace(COMMAND, "");
    refuses(
        &format!("{COMMAND}{twice}{}", twice.replace("/x", "/x/")),
        "is given twice",
    );
    refuses(
        &format!("{COMMAND}{COMMAND}"),
        "is the name of another command or endpoint",
    );
    let circle = "[[command]]\nname = \"a\"\nuse = \"b\"\n[[command]]\nname = \"b\"\nuse = \"a\"\n";
    refuses(circle, "leads in a circle");
    let silent = "[[command]]\nname = \"a\"\noperation = \"settings\"\n[[endpoint]]\nroute = \"GET /a\"\nuse = \"a\"\n";
    refuses(silent, "has no answer");
    let param = |param: &str| format!("{COMMAND}x = {{ {param} }}\n");
    refuses(&param("type = \"enum\""), "an enum needs values");
    refuses(
        &param("type = \"integer\", default = \"x\""),
        "is not a whole number",
    );
    refuses(
        &param("type = \"integer\", min = 5, default = 1"),
        "is less than 5",
    );
    refuses(
        &param("type = \"bool\", short = \"xy\""),
        "is not one letter",
    );
    refuses(
        &param("type = \"path\", setting = \"state_dir\""),
        "is no setting that a parameter can be for",
    );
    let root = |name: &str, more: &str| {
        param(&format!(
            "type = \"path\", setting = \"root.{name}.path\"{more}"
        ))
    };
    refuses(&root("no", ""), "names root \"no\", which there is not");
    refuses(
        &root("jobs", ", in = [\"flag\", \"query\"]"),
        "is for a setting, which only a flag can give",
    );
    let orphans = format!(
        "[[source]]\nname = \"db\"\nkind = \"sqlite\"\npath = \"x.db\"\nselect = \"SELECT id FROM jobs\"\n\
         [[root]]\nname = \"owned\"\npath = \"owned\"\nsource = \"db\"\norphans = \"{{uuid}}\"\n{}",
        root("owned", "")
    );
    refuses(&orphans, "names root \"owned\", which has orphans");
    let scheduled = format!(
        "{}[[schedule]]\nname = \"n\"\nat = \"0 2 * * *\"\ncommand = \"tidy\"\nparams = {{ x = \"/tmp\" }}\n",
        root("jobs", "")
    );
    refuses(
        &scheduled,
        "params gives --x, but the daemon goes by its own settings",
    );
    refuses(
        &COMMAND.replace("days = ", "release = "),
        "cannot be \"release\"",
    );
    refuses(
        &COMMAND.replace("{ type = \"bool\", default = false }", "true"),
        "is not a list of tables",
    );
}
