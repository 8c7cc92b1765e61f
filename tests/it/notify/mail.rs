//! Mails, by a real SMTP server with STARTTLS, TLS and authentication.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{pause, status, wait_for_status};
use crate::common::commands::said;
use crate::common::{Daemon, Place, wait_or_tell};
use crate::tcp::tls::write_pair;

/// An SMTP server, which ends with the test.
struct Smtp {
    child: Child,
    port: u16,
}

impl Smtp {
    fn start(place: &Place, mode: &str) -> Self {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/it/notify/smtp_server.py"
        );
        // The interpreter beside the tool has its modules.
        let tool = std::env::var_os("PATH")
            .and_then(|path| {
                let mut dirs = std::env::split_paths(&path);
                dirs.find(|dir| dir.join("aiosmtpd").is_file())
            })
            .expect("aiosmtpd is in PATH: tests/run installs it, from PyPI into target/tools");
        let mut child = Command::new(tool.join("python"))
            .args([script, mode])
            .arg(place.dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut port).unwrap();
        let port = port.trim().parse().expect("the server tells its port");
        Self { child, port }
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn begin(place: &Place, smtp: &Smtp, keys: &str, gather: &str) -> Daemon {
    place.make_dir("data");
    let config = place.config(&format!(
        r#"
        [[root]]
        path = "data"
        [[notify]]
        name = "ops"
        on = "pause"
        [notify.mail]
        to = "ops@example.com, Ann <ann@example.com>"
        from = "lapsed@example.com"
        server = "localhost:{}"
        gather = "{gather}"
        {keys}
        "#,
        smtp.port
    ));
    let mut command = place.lapsed();
    command
        .args(["serve", "--config", config.to_str().unwrap()])
        .env("SSL_CERT_FILE", place.path("cert.pem"))
        .env_remove("SSL_CERT_DIR");
    let daemon = Daemon::start(command, place.socket());
    daemon.wait_until_up();
    daemon.wait_until_ready();
    daemon
}

fn mails(place: &Place) -> Vec<Value> {
    let text = std::fs::read_to_string(place.path("mails")).unwrap_or_default();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

const USER: &str = "user = \"me\"\npassword = \"classified p@ss\"";

#[test]
fn many_notifications_are_one_mail_over_starttls_or_tls_with_a_password() {
    for (mode, encryption) in [("starttls", "starttls"), ("smtps", "tls")] {
        let place = Place::new();
        write_pair(&place, "localhost", "");
        let smtp = Smtp::start(&place, mode);
        let keys = format!("encryption = \"{encryption}\"\n{USER}");
        let daemon = begin(&place, &smtp, &keys, "5s");
        for why in ["one", "two <b>"] {
            pause(&place, why);
        }
        wait_for_status(&daemon, "the mail is taken", |ops| ops["delivered"] == 4);
        let mails = mails(&place);
        assert_eq!(mails.len(), 1, "{mails:?}");
        let mail = &mails[0];
        assert_eq!(
            (&mail["tls"], &mail["authenticated"]),
            (&true.into(), &true.into())
        );
        assert_eq!(
            mail["to"],
            serde_json::json!(["ops@example.com", "ann@example.com"])
        );
        let text = mail["text"].as_str().unwrap();
        for part in [
            "Subject: [lapsed ",
            ", and 3 more",
            "text/plain",
            "text/html",
            "two &lt;b&gt;",
            "two <b>",
            "Auto-Submitted: auto-generated",
        ] {
            // Long lines are folded.
            let unfolded = text.replace("\r\n ", " ").replace("=\r\n", "");
            assert!(unfolded.contains(part), "{part}: {text}");
        }
        assert!(!daemon.said().contains("classified"));
    }
}

#[test]
fn a_wrong_password_or_certificate_sends_nothing_and_waits() {
    let place = Place::new();
    write_pair(&place, "localhost", "");
    let smtp = Smtp::start(&place, "starttls");
    let daemon = begin(&place, &smtp, "user = \"me\"\npassword = \"wrong\"", "0s");
    pause(&place, "a reason");
    let ops = wait_for_status(&daemon, "it has failed", |ops| ops["error"].is_string());
    assert!(ops["error"].as_str().unwrap().contains("535"), "{ops}");
    assert_eq!(ops["waiting"], 2);
    drop(daemon);
    write_pair(&place, "another.example.com", "");
    let daemon = begin(&place, &smtp, USER, "0s");
    said(&place, &["notify", "retry", "ops"]);
    wait_or_tell(
        "the certificate is refused",
        || {
            let ops = status(&daemon, "ops");
            let error = ops["error"].as_str().unwrap_or_default().to_lowercase();
            error.contains("certificate").then_some(())
        },
        || status(&daemon, "ops").to_string(),
    );
    assert_eq!(mails(&place), [Value::Null; 0]);
}

#[test]
fn a_server_that_has_no_time_gets_the_mail_later_and_one_that_refuses_it_never() {
    let place = Place::new();
    let smtp = Smtp::start(&place, "plain");
    std::fs::write(place.path("answer"), "451").unwrap();
    let daemon = begin(&place, &smtp, "encryption = \"none\"", "0s");
    pause(&place, "a reason");
    wait_for_status(&daemon, "it has failed", |ops| ops["error"].is_string());
    std::fs::remove_file(place.path("answer")).unwrap();
    said(&place, &["notify", "retry", "ops"]);
    wait_for_status(&daemon, "the mail is taken", |ops| ops["delivered"] == 2);
    std::fs::write(place.path("answer"), "550").unwrap();
    pause(&place, "a reason");
    let ops = wait_for_status(&daemon, "the mail is given up", |ops| ops["given_up"] == 2);
    assert_eq!(ops["waiting"], 0);
}
