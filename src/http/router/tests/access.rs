//! Tokens, JWTs and requests without credentials, over TCP.

use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode};

use super::*;
use crate::app::access::HttpAccess;
use crate::app::access::jwt::Issuer;
use crate::core::role::Role;

const FAR: &str = "192.0.2.7";
const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

impl World {
    /// Makes a token, and returns it.
    pub(super) async fn token(&self, role: &str, name: &str) -> String {
        let order = format!(r#"{{"role": "{role}", "name": "{name}"}}"#);
        let (status, made) = self.order("POST", "/v1/tokens", &order).await;
        assert_eq!(status, 201, "{made}");
        made["token"].as_str().unwrap().to_owned()
    }

    fn allow(&self, anonymous: Option<Role>) {
        self.allow_with(anonymous, false);
    }

    fn allow_with(&self, anonymous: Option<Role>, open_metrics: bool) {
        let issuer = Issuer {
            key: DecodingKey::from_secret(SECRET).unwrap(),
            algorithms: vec![Algorithm::HS256],
            issuer: None,
            audience: Vec::new(),
            role_claim: "role".to_owned(),
            roles: BTreeMap::from([("therapist".to_owned(), Role::Operator)]),
            require: BTreeMap::new(),
            leeway: Duration::ZERO,
        };
        self.daemon.parts.access.set_http(HttpAccess {
            anonymous,
            open_metrics,
            only_endpoints: false,
            issuers: vec![issuer],
        });
    }

    async fn far(&self, request: &Request) -> Answer {
        self.send(tcp(FAR), request).await
    }
}

fn jwt(role: &str, lasting_s: i64) -> String {
    let exp = clock::now().wall.unix_ms() / 1000 + lasting_s;
    let claims = json!({"sub": "anna", "role": role, "exp": exp});
    let key = EncodingKey::from_secret(SECRET).unwrap();
    encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
}

fn pin() -> Request {
    Request::new("POST", "/v1/pins").json(r#"{"path": "/srv/x", "for": "1h", "why": "test"}"#)
}

#[tokio::test]
async fn each_client_learns_its_role() {
    let world = World::new().await;
    world.allow(Some(Role::Viewer));
    let ask = || Request::get("/v1/whoami");
    for (peer, role) in [(ME, "admin"), (MEMBER, "operator"), (STRANGER, "viewer")] {
        let (status, answer) = world.send(peer.clone(), &ask()).await.pair();
        let expected = json!({"principal": {"uid": peer.uid}, "role": role});
        assert_eq!((status, answer), (200, expected));
    }
    let token = world.token("operator", "ci").await;
    for (credentials, principal, role) in [
        (token, json!({"token": "ci"}), "operator"),
        (jwt("therapist", 60), json!({"jwt": "anna"}), "operator"),
    ] {
        let (_, answer) = world.far(&ask().bearer(&credentials)).await.pair();
        assert_eq!(answer, json!({"principal": principal, "role": role}));
    }
    let anonymous = world.send(tcp("127.0.0.1"), &ask().host("127.0.0.1")).await;
    let expected = json!({"principal": "anonymous", "role": "viewer"});
    assert_eq!(anonymous.pair(), (200, expected));
    assert_eq!(world.far(&ask()).await.status, 401);
}

#[tokio::test]
async fn a_token_lives_from_its_making_to_its_revocation() {
    let world = World::new().await;
    let health = || Request::get("/v1/health");
    let answer = world.far(&health()).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("www-authenticate"),
        Some("bearer realm=\"lapsed\"")
    );

    let order = r#"{"role": "viewer", "name": "ci", "expires": "90d"}"#;
    let (status, made) = world.order("POST", "/v1/tokens", order).await;
    assert_eq!(status, 201);
    let token = made["token"].as_str().unwrap();
    assert_eq!(world.far(&health().bearer(token)).await.status, 200);
    let refused = world.far(&pin().bearer(token)).await;
    assert_eq!(refused.status, 403);
    let problem = refused.json();
    let detail = "permission denied: token ci is not an operator";
    assert_eq!(problem["detail"], detail);
    assert!(!problem.to_string().contains(token));

    let (_, list) = world.order("GET", "/v1/tokens", "").await;
    let secret = token.rsplit_once('_').unwrap().1;
    assert!(!list.to_string().contains(secret), "{list}");
    assert_eq!(list["tokens"][0]["name"], "ci");
    assert_eq!(list["tokens"][0]["created_by"], "uid 990");
    let (status, problem) = world.order("POST", "/v1/tokens", order).await;
    assert_eq!(status, 409, "the name is taken: {problem}");
    let mut on_disk = Vec::new();
    for entry in std::fs::read_dir(world.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            on_disk.extend(std::fs::read(path).unwrap());
        }
    }
    let has = |text: &str| {
        on_disk
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(has("ci") && !has(secret), "only its hash is kept");

    let follow = Request::get("/v1/events").bearer(token);
    let mut events = world.clients.begin(tcp(FAR), &follow).await;
    assert_eq!(events.head().await.status, 200);
    let (status, _) = world.order("DELETE", "/v1/tokens/ci", "").await;
    assert_eq!(status, 200);
    // Ends, although the daemon does not.
    events.rest().await;
    let answer = world.far(&health().bearer(token)).await;
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    let (status, _) = world.order("DELETE", "/v1/tokens/ci", "").await;
    assert_eq!(status, 404);
    world.token("operator", "ci").await;
}

#[tokio::test]
async fn orders_for_tokens_that_cannot_be_are_refused() {
    let world = World::new().await;
    for order in [
        r#"{"role": "viewer"}"#,
        r#"{"role": "root", "name": "ci"}"#,
        r#"{"role": "viewer", "name": ""}"#,
        r#"{"role": "viewer", "name": "a b"}"#,
        r#"{"role": "viewer", "name": "ci", "expires": "0s"}"#,
        r#"{"role": "viewer", "name": "ci", "expires": "soon"}"#,
    ] {
        let (status, problem) = world.order("POST", "/v1/tokens", order).await;
        assert_eq!(status, 400, "{order}: {problem}");
    }
    let operator = world.token("operator", "op").await;
    let order = Request::new("POST", "/v1/tokens")
        .json(r#"{"role": "admin", "name": "more"}"#)
        .bearer(&operator);
    assert_eq!(world.far(&order).await.status, 403);
}

/// Whatever the connection would have allowed.
#[tokio::test]
async fn credentials_that_are_shown_count_alone() {
    let world = World::new().await;
    let viewer = world.token("viewer", "v").await;
    let as_viewer = world.send(ME, &pin().bearer(&viewer)).await;
    assert_eq!(as_viewer.status, 403);
    let wrong = world.send(ME, &pin().bearer("wrong")).await;
    assert_eq!(wrong.status, 401);
    let forwarded = Request::get("/v1/health").header("x-forwarded-for", "192.0.2.1");
    assert_eq!(world.send(ME, &forwarded).await.status, 401);
    let with_token = forwarded.bearer(&viewer);
    assert_eq!(world.send(ME, &with_token).await.status, 200);
}

#[tokio::test]
async fn a_jwt_makes_an_operator_until_it_ends() {
    let world = World::new().await;
    world.allow(None);
    let good = jwt("therapist", 60);
    let answer = world.far(&pin().bearer(&good)).await;
    assert_ne!(answer.status, 401);
    assert_ne!(answer.status, 403);
    let release = Request::new("POST", "/v1/breaker/release").json("{}");
    let answer = world.far(&release.bearer(&good)).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("jwt anna"), "{}", answer.text());
    let answer = world.far(&pin().bearer(&jwt("patient", 60))).await;
    assert_eq!(answer.status, 403, "a role that is not mapped");
    let answer = world.far(&pin().bearer(&jwt("therapist", -1))).await;
    assert_eq!(answer.status, 401);
    let follow = Request::get("/v1/events").bearer(&jwt("therapist", 2));
    let mut events = world.clients.begin(tcp(FAR), &follow).await;
    assert_eq!(events.head().await.status, 200);
    events.rest().await;
}

#[tokio::test]
async fn anonymous_clients_are_of_this_host_and_allowed() {
    let world = World::new().await;
    let near = || Request::get("/v1/health").host("localhost:7343");
    let ask = async |request: Request| world.send(tcp("127.0.0.1"), &request).await.status;
    assert_eq!(ask(near()).await, 401);
    world.allow(Some(Role::Viewer));
    assert_eq!(ask(near()).await, 200);
    assert_eq!(
        ask(pin().host("localhost:7343")).await,
        401,
        "it may show more"
    );
    world.allow(Some(Role::Operator));
    assert_ne!(ask(pin().host("localhost:7343")).await, 401);
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1"),
        ("via", "1.1 proxy"),
        ("origin", "http://attacker.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        assert_eq!(
            ask(near().header(name, value)).await,
            401,
            "{name}: {value}"
        );
    }
    let rebound = Request::get("/v1/health").host("attacker.example:7343");
    assert_eq!(ask(rebound).await, 401);
    assert_eq!(world.far(&near()).await.status, 401);
}

#[tokio::test]
async fn streams_end_when_a_reload_forbids_those_who_follow() {
    let world = World::new().await;
    world.allow(Some(Role::Operator));
    let near = Request::get("/v1/events").host("localhost:7343");
    let far = Request::get("/v1/events").bearer(&jwt("therapist", 600));
    let mut anonymous = world.clients.begin(tcp("127.0.0.1"), &near).await;
    let mut subject = world.clients.begin(tcp(FAR), &far).await;
    assert_eq!(anonymous.head().await.status, 200);
    assert_eq!(subject.head().await.status, 200);
    // It may still follow, and a JWT is checked anew.
    world.allow(Some(Role::Operator));
    subject.rest().await;
    anonymous.until(b": following").await;
    let end = tokio::spawn(anonymous.rest());
    tokio::task::yield_now().await;
    assert!(!end.is_finished());
    world.allow(None);
    end.await.unwrap();
    let again = world.send(tcp("127.0.0.1"), &near).await;
    assert_eq!(again.status, 401);
}

#[tokio::test]
async fn open_metrics_are_open_to_this_host_alone_and_nothing_else_is() {
    let world = World::new().await;
    let near = tcp("127.0.0.1");
    let ask = |path: &str| Request::get(path).host("localhost:7343");
    assert_eq!(world.send(near.clone(), &ask("/metrics")).await.status, 401);
    world.allow_with(None, true);
    assert_eq!(world.send(near.clone(), &ask("/metrics")).await.status, 200);
    let other = ask("/v1/status");
    assert_eq!(world.send(near.clone(), &other).await.status, 401);
    assert_eq!(world.far(&ask("/metrics")).await.status, 401);
    let wrong = ask("/metrics").bearer("wrong");
    assert_eq!(world.send(near.clone(), &wrong).await.status, 401);
    let forwarded = ask("/metrics").header("via", "1.1 proxy");
    assert_eq!(world.send(near, &forwarded).await.status, 401);
}

#[tokio::test]
async fn failures_are_limited_by_address_and_harm_no_holder_of_a_token() {
    let world = World::new().await;
    world.allow(None);
    let token = world.token("viewer", "v").await;
    let try_it = |credentials: &str| Request::get("/v1/health").bearer(credentials);
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(world.far(&try_it("wrong")).await.status);
    }
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[10..], [429; 2]);
    let good = jwt("therapist", 60);
    let limited = world.far(&try_it(&good)).await;
    assert_eq!(limited.status, 429);
    assert_eq!(limited.header("retry-after"), Some("60"));
    assert_eq!(world.far(&try_it(&token)).await.status, 200);
    let other = world.send(tcp("192.0.2.8"), &try_it(&good)).await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn a_token_in_a_query_is_refused() {
    let world = World::new().await;
    let token = world.token("viewer", "v").await;
    let request = Request::get(&format!("/v1/health?token={token}"));
    let answer = world.far(&request).await;
    assert_eq!(answer.status, 400);
    assert!(!answer.text().contains(&token));
    assert!(answer.text().contains("Authorization: Bearer"));
}
