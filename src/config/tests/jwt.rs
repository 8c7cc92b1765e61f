//! `[[http.jwt]]`, and requests without credentials.

use jsonwebtoken::Algorithm;

use super::*;
use crate::core::role::Role;

const ROOT: &str = "[[root]]\npath = \"scratch\"\n";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn with(text: &str) -> Host {
    Host::with(&format!("{text}\n{ROOT}"))
}

#[test]
fn without_words_nothing_is_let_in() {
    let access = with("").good().access;
    assert_eq!(access.anonymous, None);
    assert!(!access.open_metrics && access.jwt.is_empty());
    let access = with("[http]\nanonymous = \"operator\"\nmetrics = \"open\"")
        .good()
        .access;
    assert_eq!(access.anonymous, Some(Role::Operator));
    assert!(access.open_metrics);
    refused!(with("[http]\nanonymous = \"admin\""), @r#"
    HOST/etc/lapsed.toml:2: [http]: anonymous = "admin" is an unknown value
      allowed: none, viewer, operator
    "#);
}

#[test]
fn one_table_is_a_list_of_one() {
    for text in [
        "[http]\njwt = { secret = \"${JWT_SECRET}\", roles = { therapist = \"operator\" }, audience = \"lapsed\" }",
        "[http.jwt]\nsecret = \"${JWT_SECRET}\"\nroles = { therapist = \"operator\" }\naudience = \"lapsed\"",
        "[[http.jwt]]\nsecret = \"${JWT_SECRET}\"\nroles = { therapist = \"operator\" }\naudience = [\"lapsed\"]",
    ] {
        let access = with(text).set("JWT_SECRET", SECRET).good().access;
        let [issuer] = access.jwt.try_into().unwrap();
        assert_eq!(issuer.algorithms, [Algorithm::HS256]);
        assert_eq!(issuer.audience, ["lapsed"]);
        assert_eq!(issuer.roles.len(), 1);
        assert_eq!(issuer.roles["therapist"], Role::Operator);
        assert_eq!(issuer.role_claim, "role");
    }
    let usual = with(&format!("[[http.jwt]]\nsecret = \"{SECRET}\""));
    let roles = usual.good().access.jwt.remove(0).roles;
    let roles: Vec<_> = roles
        .iter()
        .map(|(word, role)| (word.as_str(), *role))
        .collect();
    let expected = [("operator", Role::Operator), ("viewer", Role::Viewer)];
    assert_eq!(roles, expected);
}

#[test]
fn keys_are_read_with_their_algorithm() {
    let host = with("[[http.jwt]]\nkey = \"jwt.pem\"");
    let write = |text: &str| fs::write(host.path("data/jwt.pem"), text).unwrap();
    for (algorithm, usual) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::ES256),
        (&rcgen::PKCS_ED25519, Algorithm::EdDSA),
    ] {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        write(&pair.public_key_pem());
        let issuer = host.good().access.jwt.remove(0);
        assert_eq!(issuer.algorithms, [usual]);
        write(&pair.serialize_pem());
        assert!(host.refusal().contains("has a private key"));
    }
    write("nonsense");
    assert!(host.refusal().contains("is no public key in PEM"));
}

#[test]
fn messages_never_contain_the_secret() {
    let mut told = Vec::new();
    told.push(with("[[http.jwt]]\nissuer = \"app\""));
    told.push(with(&format!(
        "[[http.jwt]]\nsecret = \"{SECRET}\"\nkey = \"x.pem\""
    )));
    told.push(with("[[http.jwt]]\nsecret = \"short\""));
    told.push(with(&format!(
        "[[http.jwt]]\nsecret = \"{SECRET}\"\nalgorithms = [\"HS256\", \"RS256\"]"
    )));
    told.push(with(&format!(
        "[[http.jwt]]\nsecret = \"{SECRET}\"\nalgorithms = \"none\""
    )));
    told.push(with(&format!(
        "[[http.jwt]]\nsecret = \"{SECRET}\"\nroles = {{ boss = \"admin\" }}\nleeway = \"2m\""
    )));
    let told: Vec<_> = told.iter().map(Host::refusal).collect();
    assert!(told.iter().all(|text| !text.contains(SECRET)));
    insta::assert_snapshot!(told.join("\n"), @r#"
    HOST/etc/lapsed.toml:1: [[http.jwt]] 1: needs secret or key
      secret is for HS256, key for RS256, ES256 and EdDSA
    HOST/etc/lapsed.toml:1: [[http.jwt]] 1: secret and key exclude each other
      secret is for HS256, key for RS256, ES256 and EdDSA
    HOST/etc/lapsed.toml:2: [[http.jwt]] 1: secret is shorter than 16 bytes, and could be guessed
      `openssl rand -base64 48` makes a good one
    HOST/etc/lapsed.toml:3: [[http.jwt]] 1: algorithms = "RS256" is an algorithm for another kind of key
      for this one: HS256, HS384, HS512
    HOST/etc/lapsed.toml:3: [[http.jwt]] 1: algorithms = "none" is an unknown value
      allowed: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA
    HOST/etc/lapsed.toml:3: [[http.jwt]] 1: roles.boss = "admin" is an unknown value
      allowed: viewer, operator
    HOST/etc/lapsed.toml:4: [[http.jwt]] 1: leeway = "2m" is longer than the limit of 1m
    "#);
}

#[test]
fn an_issuer_with_an_empty_secret_is_off() {
    let text =
        "[[http.jwt]]\nsecret = \"${APP_SECRET:-}\"\n[[http.jwt]]\nsecret = \"${OTHER_SECRET:-}\"";
    let access = with(text).set("OTHER_SECRET", SECRET).good().access;
    assert_eq!((access.jwt.len(), access.jwt_off), (1, 1));
    let access = with(text).set("APP_SECRET", " ").good().access;
    assert_eq!((access.jwt.len(), access.jwt_off), (0, 2));
    let access = with(text)
        .set("APP_SECRET", SECRET)
        .set("OTHER_SECRET", SECRET)
        .good()
        .access;
    assert_eq!((access.jwt.len(), access.jwt_off), (2, 0));
    // A short one is a mistake, and no secret at all, too.
    assert!(with(text).set("APP_SECRET", "guess").load().is_err());
    assert!(
        with("[[http.jwt]]\nroles = { a = \"viewer\" }")
            .load()
            .is_err()
    );
}
