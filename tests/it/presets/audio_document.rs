//! audio: every curl line and every command line of its document, copied from it.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::audio::Audio;
use super::database::{BOTH, DAY, HOUR, Kind, YEAR, ago};
use super::document::{Shell, assert_page};
use super::site::age_tree;
use super::tree::Tree;
use crate::common::errors;
use crate::common::http::Request;
use crate::common::trees::now_ms;

const SECRET: &str = "the application's secret, of 40 letters";

/// The session of the document's example.
pub const SESSION: &str = "550e8400-e29b-41d4-a716-446655440000";

/// What goes: files of no session, and those of the failed one.
pub const ORPHANS: [&str; 2] = [
    "uploads/audio/abc123.mp3",
    "uploads/audio/xyz789_processed.mp3",
];
pub const FAILED: [&str; 2] = [
    "uploads/audio/550e8400-e29b-41d4-a716-446655440000.m4a",
    "uploads/audio/550e8400-e29b-41d4-a716-446655440000_processed.mp3",
];

fn token_of(claims: &Value, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes()).unwrap();
    encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

/// A token that is signed with an empty secret, which a library may refuse to make.
fn token_of_nothing(shell: &Shell<'_>, claims: &Value) -> String {
    let program = format!(
        "import base64, hashlib, hmac, json\n\
         part = lambda value: base64.urlsafe_b64encode(value).rstrip(b'=')\n\
         text = part(json.dumps({{'alg': 'HS256', 'typ': 'JWT'}}).encode()) + b'.' + part({claims:?}.encode())\n\
         print((text + b'.' + part(hmac.new(b'', text, hashlib.sha256).digest())).decode())\n",
        claims = claims.to_string()
    );
    shell.python(&program).trim().to_owned()
}

/// A token of the application's.
fn token(role: &str) -> String {
    let exp = now_ms() / 1000 + 3600;
    token_of(
        &json!({"sub": "u1", "role": role, "type": "access", "exp": exp}),
        SECRET,
    )
}

/// A backend directory with what the document's example of an answer was about, and as much that stays.
pub fn world(kind: Kind) -> Audio {
    let mut audio = Audio::new(kind);
    audio.site.set("JWT_SECRET_KEY", SECRET);
    let sized = |name: &str, bytes: usize, age: Duration| {
        let path = audio.site.write(name);
        std::fs::write(&path, vec![b'x'; bytes]).unwrap();
        age_tree(&path, age);
    };
    // 15.2 MB, and 10.2 MB.
    sized(ORPHANS[0], 15_000_000, 25 * HOUR);
    sized(ORPHANS[1], 938_355, YEAR);
    sized(FAILED[0], 10_000_000, YEAR);
    sized(FAILED[1], 695_475, YEAR);
    audio.session(SESSION, "failed", ago(8 * DAY), Some("My recording.m4a"));
    for (id, status, age) in [
        ("young", "failed", 6 * DAY),
        ("busy", "processing", YEAR),
        ("done", "processed", YEAR),
    ] {
        audio.session(id, status, ago(age), Some(&format!("{id}.mp3")));
        sized(&format!("uploads/audio/{id}.mp3"), 1000, YEAR);
        sized(&format!("uploads/audio/{id}_processed.mp3"), 1000, YEAR);
    }
    // A live session names it, too.
    audio.session("shared", "failed", ago(YEAR), Some("done.mp3"));
    sized("uploads/audio/fresh.mp3", 1000, HOUR);
    audio.site.write("venv/bin/activate");
    std::fs::write(audio.site.path("venv/bin/activate"), "").unwrap();
    audio
}

/// Result of a clean-up in the document's numbers.
pub fn result(orphans: bool, sessions: bool, mb: f64, dry_run: bool) -> Value {
    let orphans = if orphans {
        json!(["abc123.mp3", "xyz789_processed.mp3"])
    } else {
        json!([])
    };
    let sessions = if sessions {
        json!([SESSION])
    } else {
        json!([])
    };
    json!({
        "orphaned_files_count": orphans.as_array().unwrap().len(),
        "orphaned_files_deleted": orphans,
        "failed_sessions_count": sessions.as_array().unwrap().len(),
        "failed_sessions_cleaned": sessions,
        "total_space_freed_mb": mb,
        "errors": [],
        "error_count": 0,
        "dry_run": dry_run,
    })
}

pub fn answer(message: &str, result: &Value) -> Value {
    json!({"success": true, "message": message, "result": result})
}

#[track_caller]
pub fn assert_left(audio: &Audio, before: &Tree, gone: &[&str]) {
    let difference = before.but(gone).difference(&audio.site.tree());
    assert!(difference.is_empty(), "{difference}");
}

/// A line of the document with a token of a therapist's.
pub fn with_token(line: &str) -> String {
    line.replace("YOUR_ACCESS_TOKEN", &token("therapist"))
}

const STATUS: &str = r#"curl "http://localhost:8000/api/admin/cleanup/status" \
  -H "Authorization: Bearer YOUR_ACCESS_TOKEN" | jq"#;
const SPACE: &str = r#"curl "http://localhost:8000/api/admin/cleanup/status" \
  -H "Authorization: Bearer YOUR_ACCESS_TOKEN" | jq '.potential_cleanup.total_space_freed_mb'"#;
const DRY: &str = r#"curl -X POST "http://localhost:8000/api/admin/cleanup/all?dry_run=true" \
  -H "Authorization: Bearer YOUR_ACCESS_TOKEN" | jq"#;
const DRY_AGAIN: &str = r#"curl -X POST "http://localhost:8000/api/admin/cleanup/all?dry_run=true" \
  -H "Authorization: Bearer YOUR_ACCESS_TOKEN""#;
const ALL: &str = r#"curl -X POST "http://localhost:8000/api/admin/cleanup/all" \
  -H "Authorization: Bearer YOUR_ACCESS_TOKEN" | jq"#;
pub const ALL_AGAIN: &str = r#"curl -X POST "http://localhost:8000/api/admin/cleanup/all" \
  -H "Authorization: Bearer YOUR_ACCESS_TOKEN""#;
const ORPHANED: &str = r#"curl -X POST "http://localhost:8000/api/admin/cleanup/orphaned-files" \
  -H "Authorization: Bearer YOUR_ACCESS_TOKEN""#;
const CONFIG: &str = r#"curl "http://localhost:8000/api/admin/cleanup/config" \
  -H "Authorization: Bearer YOUR_ACCESS_TOKEN""#;

#[test]
fn the_quick_start_of_the_document_works() {
    for kind in BOTH {
        let audio = world(kind);
        let mut shell = Shell::install(&audio.site, "audio");
        let _daemon = shell.serve_to("none");
        let (before, sessions) = (audio.site.tree(), audio.sessions());
        let status = shell.json(&with_token(STATUS));
        let potential = result(true, true, 25.4, true);
        let expected = json!({"success": true, "message": "Cleanup status retrieved", "potential_cleanup": potential});
        assert_eq!(status, expected);
        assert_eq!(shell.json(&with_token(SPACE)), json!(25.4));
        for line in [DRY, DRY_AGAIN] {
            let dry = shell.json(&with_token(line));
            assert_eq!(
                dry,
                answer("Full cleanup completed", &result(true, true, 25.4, true))
            );
        }
        assert_left(&audio, &before, &[]);
        let done = shell.json(&with_token(ALL));
        assert_eq!(
            done,
            answer("Full cleanup completed", &result(true, true, 25.4, false))
        );
        assert_left(&audio, &before, &[&ORPHANS[..], &FAILED].concat());
        assert_eq!(audio.sessions(), sessions, "rows of sessions are kept");
        let again = shell.json(&with_token(ALL_AGAIN));
        assert_eq!(
            again,
            answer("Full cleanup completed", &result(false, false, 0.0, false))
        );
    }
}

#[test]
fn each_endpoint_removes_its_part() {
    let audio = world(Kind::Sqlite);
    let mut shell = Shell::install(&audio.site, "audio");
    let daemon = shell.serve_to("none");
    let before = audio.site.tree();
    let post = |target: &str| {
        let request = Request::new("POST", &format!("/api/admin/cleanup/{target}"));
        let (status, body) = daemon.send(&request.bearer(&token("admin"))).pair();
        assert_eq!(status, 200, "{target}: {body}");
        body
    };
    let dry = post("orphaned-files?dry_run=true");
    assert_eq!(
        dry,
        answer(
            "Orphaned file cleanup completed",
            &result(true, false, 15.2, true)
        )
    );
    let dry = post("failed-sessions?dry_run=true");
    assert_eq!(
        dry,
        answer(
            "Failed session cleanup completed",
            &result(false, true, 10.2, true)
        )
    );
    assert_left(&audio, &before, &[]);
    let done = shell.json(&with_token(ORPHANED));
    assert_eq!(
        done,
        answer(
            "Orphaned file cleanup completed",
            &result(true, false, 15.2, false)
        )
    );
    assert_left(&audio, &before, &ORPHANS);
    let done = post("failed-sessions");
    assert_eq!(
        done,
        answer(
            "Failed session cleanup completed",
            &result(false, true, 10.2, false)
        )
    );
    assert_left(&audio, &before, &[&ORPHANS[..], &FAILED].concat());
}

#[test]
fn the_configuration_is_told_as_in_the_document() {
    let mut audio = world(Kind::Sqlite);
    let default = json!({
        "failed_session_retention_days": 7,
        "orphaned_file_retention_hours": 24,
        "upload_dir": "uploads/audio",
        "auto_cleanup_on_startup": false,
        "cleanup_schedule_hour": 3,
    });
    let mut shell = Shell::install(&audio.site, "audio");
    let daemon = shell.serve_to("none");
    assert_eq!(shell.json(&with_token(CONFIG)), default);
    shell.line("ls -lh uploads/audio/");
    drop(daemon);
    for (name, value) in [
        ("FAILED_SESSION_RETENTION_DAYS", "1"),
        ("ORPHANED_FILE_RETENTION_HOURS", "12"),
        ("CLEANUP_SCHEDULE_HOUR", "5"),
    ] {
        audio.site.set(name, value);
    }
    let told: Value =
        serde_json::from_str(
            &audio
                .site
                .said(&["run", "audio_config", "--output", "json"]),
        )
        .unwrap();
    let expected = json!({
        "failed_session_retention_days": 1,
        "orphaned_file_retention_hours": 12,
        "upload_dir": "uploads/audio",
        "auto_cleanup_on_startup": false,
        "cleanup_schedule_hour": 5,
    });
    assert_eq!(told, expected);
}

#[test]
fn therapists_and_admins_clean_up_and_others_do_not() {
    let audio = world(Kind::Sqlite);
    let mut shell = Shell::install(&audio.site, "audio");
    let _daemon = shell.serve_to("none");
    let before = audio.site.tree();
    let routes = [
        ("GET", "config"),
        ("GET", "status"),
        ("POST", "orphaned-files"),
        ("POST", "failed-sessions"),
        ("POST", "all"),
        ("POST", "all?dry_run=true"),
    ];
    let ask = |(method, target): (&str, &str), header: Option<&str>| -> (u16, Value) {
        let header = header.map_or_else(String::new, |token| {
            format!("-H \"Authorization: Bearer {token}\"")
        });
        let said = shell.line(&format!(
            "curl -s -w '\\n%{{http_code}}' -X {method} \"http://localhost:8000/api/admin/cleanup/{target}\" {header}"
        ));
        let (body, status) = said.trim_end().rsplit_once('\n').unwrap();
        (status.parse().unwrap(), serde_json::from_str(body).unwrap())
    };
    let exp = now_ms() / 1000 + 3600;
    let refused = [
        token_of(
            &json!({"sub": "u1", "role": "admin", "type": "access", "exp": exp}),
            "another secret of the same kind",
        ),
        token_of_nothing(
            &shell,
            &json!({"sub": "u1", "role": "admin", "type": "access", "exp": exp}),
        ),
        token_of(
            &json!({"sub": "u1", "role": "admin", "type": "access", "exp": 1_700_000_000}),
            SECRET,
        ),
        token_of(
            &json!({"sub": "u1", "role": "admin", "type": "reset", "exp": exp}),
            SECRET,
        ),
        "YOUR_ACCESS_TOKEN".to_owned(),
    ];
    for route in routes {
        let (status, body) = ask(route, Some(&token("patient")));
        assert_eq!(status, 403, "{route:?}: {body}");
        let words = "Only therapists and admins can perform cleanup operations";
        assert_eq!(body, json!({"detail": words}));
        let (status, body) = ask(route, None);
        assert_eq!(status, 401, "{route:?}: {body}");
        assert!(body["detail"].is_string(), "{body}");
    }
    for token in &refused {
        let (status, body) = ask(("POST", "all"), Some(token));
        assert_eq!(status, 401, "{body}");
    }
    assert_left(&audio, &before, &[]);
    for role in ["therapist", "admin"] {
        let (status, body) = ask(("GET", "status"), Some(&token(role)));
        assert_eq!(status, 200, "{role}: {body}");
    }
}

#[test]
fn without_a_secret_no_token_counts_and_check_says_so() {
    let mut audio = world(Kind::Sqlite);
    audio.site.set("JWT_SECRET_KEY", "");
    let said = audio.site.said(&["check"]);
    let warning =
        "an issuer of [[http.jwt]] is off, because its secret is empty: its JWTs are refused";
    assert!(said.contains(warning), "{said}");
    let mut shell = Shell::install(&audio.site, "audio");
    let daemon = shell.serve_to("none");
    let before = audio.site.tree();
    let exp = now_ms() / 1000 + 3600;
    let claims = json!({"sub": "u1", "role": "admin", "type": "access", "exp": exp});
    for token in [token_of_nothing(&shell, &claims), token_of(&claims, SECRET)] {
        let request = Request::new("POST", "/api/admin/cleanup/all").bearer(&token);
        assert_eq!(daemon.send(&request).pair().0, 401);
    }
    assert_left(&audio, &before, &[]);
    drop(daemon);
    // The other name of the variable.
    audio.site.set("SECRET_KEY", SECRET);
    assert!(!audio.site.said(&["check"]).contains(warning));
    audio.site.set("SECRET_KEY", "guess");
    let refused = audio.site.run(&["check"]);
    assert_eq!(refused.status.code(), Some(2), "{}", errors(&refused));
}

#[test]
fn hostile_parameters_and_names_change_nothing_but_their_own_field() {
    let audio = world(Kind::Sqlite);
    let hostile = "\"], \"dry_run\": false, \"x\": [\"{{ 7 * 7 }}\n{% raw %}";
    audio
        .site
        .aged(&format!("uploads/audio/{hostile}.mp3"), YEAR);
    let mut shell = Shell::install(&audio.site, "audio");
    let daemon = shell.serve_to("none");
    let before = audio.site.tree();
    let therapist = token("therapist");
    let (status, body) = daemon
        .send(&Request::get("/api/admin/cleanup/status").bearer(&therapist))
        .pair();
    assert_eq!(status, 200, "{body}");
    let found = &body["potential_cleanup"];
    assert_eq!(
        found["orphaned_files_deleted"][0],
        format!("{hostile}.mp3"),
        "{body}"
    );
    assert_eq!(found.as_object().unwrap().len(), 8, "{body}");
    let long = "x".repeat(1 << 20);
    for value in ["{{ 7 * 7 }}", hostile, "1\n0", &long] {
        for name in ["dry_run", value] {
            let body = json!({ name: value }).to_string();
            let request = Request::new("POST", "/api/admin/cleanup/all")
                .bearer(&therapist)
                .json(&body);
            let (status, body) = daemon.send(&request).pair();
            assert!(status == 422 || status == 413, "{status}: {body}");
            assert!(!body.to_string().contains("49"), "{body}");
        }
    }
    for target in [
        "all?dry_run=maybe",
        "all?dryrun=true",
        "all?dry_run=true&dry_run=false",
        "all?only=startup",
    ] {
        let request =
            Request::new("POST", &format!("/api/admin/cleanup/{target}")).bearer(&therapist);
        let (status, body) = daemon.send(&request).pair();
        assert_eq!(status, 422, "{target}: {body}");
        assert!(!body["detail"].is_null(), "{body}");
    }
    assert_left(&audio, &before, &[]);
}

#[test]
fn originals_come_back() {
    let audio = world(Kind::Sqlite);
    let before = audio.site.tree();
    Shell::install(&audio.site, "audio");
    assert!(audio.site.exists("app/services/cleanup.py.before-lapsed"));
    let app = audio.site.path("");
    audio
        .site
        .said(&["uninstall", "--shims", app.to_str().unwrap()]);
    audio.site.assert_same(&before);
}

#[test]
fn the_page_is_current() {
    let sources = [
        include_str!("audio_document.rs"),
        include_str!("audio_module.rs"),
        include_str!("audio.rs"),
        include_str!("audio_settings.rs"),
        include_str!("audio_field.rs"),
        include_str!("figures.rs"),
    ];
    assert_page("audio", include_str!("items/audio.toml"), &sources);
}
