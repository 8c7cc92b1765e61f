//! Requests, answers, and servers that are not there.

use std::io;
use std::path::PathBuf;

use super::*;
use crate::types::{self, HistoryQuery};

#[test]
fn parameters_are_encoded() {
    let query = HistoryQuery {
        path: Some(types::Bytes(b"/a b+\xff&?".to_vec())),
        root: Some("z".to_owned()),
        ..HistoryQuery::default()
    };
    let target = Target::new("/v1/history").query(&query);
    assert_eq!(
        target.as_str(),
        "/v1/history?path=/a%20b%2B%FF%26%3F&root=z"
    );
    let target = Target::new("/v1/jobs").below("a/b?");
    assert_eq!(target.as_str(), "/v1/jobs/a%2Fb%3F");
    assert_eq!(
        Target::new("/v1/jobs").below("..").as_str(),
        "/v1/jobs/%2E%2E"
    );
}

/// A server whose lines arrive in pieces.
fn serve(pieces: &'static [&'static str]) -> (tempfile::TempDir, Endpoint) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let answer = move || async move {
        let pieces = pieces.iter().map(|piece| Ok::<_, io::Error>(*piece));
        axum::body::Body::from_stream(futures_util::stream::iter(pieces))
    };
    let refuse = || async {
        crate::http::error::Problem::from(
            crate::app::AppError::not_found("there is no such thing").hint("look again"),
        )
    };
    let router = axum::Router::new()
        .route("/lines", axum::routing::get(answer))
        .route("/refused", axum::routing::get(refuse));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        let limits = crate::http::server::Limits::default();
        crate::http::server::serve(listener, router, limits, stopped).await;
        drop(stop);
    });
    (dir, Endpoint::Socket(socket))
}

#[tokio::test]
async fn lines_are_put_together_however_they_arrive() {
    let (_dir, socket) = serve(&["a\nb", "b", "\n\nlong", " line\nlast"]);
    let client = Client::connect(&socket).await.unwrap();
    let mut lines = client
        .lines(&Target::new("/lines"), "text/plain")
        .await
        .unwrap();
    let mut all = Vec::new();
    while let Some(line) = lines.next().await.unwrap() {
        all.push(String::from_utf8(line.to_vec()).unwrap());
    }
    assert_eq!(all, ["a", "bb", "", "long line", "last"]);
}

#[tokio::test]
async fn a_refusal_has_the_daemon_s_words() {
    let (_dir, socket) = serve(&[]);
    let mut client = Client::connect(&socket).await.unwrap();
    let error = client
        .get::<String>(&Target::new("/refused"))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "there is no such thing\n  look again");
    assert!(!error.is_absence());
}

#[tokio::test]
async fn a_missing_daemon_differs_from_a_dead_one() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let connect = async |path: &PathBuf| Client::connect(&Endpoint::Socket(path.clone())).await;
    let error = connect(&socket).await.unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains(socket.to_str().unwrap()), "{text}");
    assert!(text.contains("start it with: lapsed serve"), "{text}");

    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let error = connect(&socket).await.unwrap_err();
    assert!(matches!(error, ClientError::DeadDaemon(_)), "{error}");
    assert!(error.is_absence());

    let long = dir.path().join("x".repeat(120));
    let error = connect(&long).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLong(_)), "{error}");
}
