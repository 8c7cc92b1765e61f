//! JWTs good and bad.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use super::*;

const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

fn now() -> i64 {
    crate::clock::now().wall.unix_ms() / 1000
}

fn issuer() -> Issuer {
    Issuer {
        key: DecodingKey::from_secret(SECRET).unwrap(),
        algorithms: vec![Algorithm::HS256],
        issuer: Some("app".to_owned()),
        audience: vec!["lapsed".to_owned()],
        role_claim: "role".to_owned(),
        roles: BTreeMap::from([
            ("therapist".to_owned(), Role::Operator),
            ("patient".to_owned(), Role::Viewer),
            ("root".to_owned(), Role::Admin),
        ]),
        require: BTreeMap::from([("type".to_owned(), "access".to_owned())]),
        leeway: Duration::from_secs(5),
    }
}

fn good() -> Value {
    json!({"sub": "anna", "iss": "app", "aud": "lapsed", "role": "therapist", "type": "access", "exp": now() + 60})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = good();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn sign(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET).unwrap();
    encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

fn check_one(claims: &Value) -> Result<JwtGrant, JwtRefusal> {
    check(&[issuer()], &sign(claims))
}

fn refusal(claims: &Value) -> String {
    match check_one(claims).unwrap_err() {
        JwtRefusal::Invalid(why) | JwtRefusal::NoRole(why) => why,
    }
}

#[test]
fn a_good_one_has_a_subject_and_a_role() {
    let grant = check_one(&good()).unwrap();
    assert_eq!(
        (grant.subject.as_str(), grant.role),
        ("anna", Role::Operator)
    );
    for (role, expected) in [
        (json!("patient"), Role::Viewer),
        (json!(["patient", "therapist", "unknown"]), Role::Operator),
        (json!("root"), Role::Operator),
    ] {
        assert_eq!(check_one(&with("role", role)).unwrap().role, expected);
    }
    assert_eq!(check_one(&with("sub", json!(17))).unwrap().subject, "17");
    assert!(check_one(&with("aud", json!(["x", "lapsed"]))).is_ok());
}

#[test]
fn roles_are_found_in_objects() {
    let of_realm = Issuer {
        role_claim: "realm_access.roles".to_owned(),
        ..issuer()
    };
    let claims = with("realm_access", json!({"roles": ["therapist"]}));
    assert_eq!(
        check(&[of_realm], &sign(&claims)).unwrap().role,
        Role::Operator
    );
}

#[test]
fn what_is_not_proven_is_refused() {
    for (claims, why) in [
        (with("exp", json!(now() - 6)), "has expired"),
        (without("exp"), "\"exp\""),
        (with("exp", json!("tomorrow")), "\"exp\""),
        (with("nbf", json!(now() + 60)), "not valid yet"),
        (with("nbf", json!("yesterday")), "\"nbf\""),
        (with("iss", json!("other")), "another issuer"),
        (without("iss"), "\"iss\""),
        (with("aud", json!("other")), "another audience"),
        (without("aud"), "\"aud\""),
        (with("type", json!("refresh")), "\"type\""),
        (without("type"), "\"type\""),
        (with("role", json!("visitor")), "names no role"),
        (with("role", json!({"name": "therapist"})), "names no role"),
        (without("role"), "names no role"),
        (without("sub"), "\"sub\""),
    ] {
        let found = refusal(&claims);
        assert!(found.contains(why), "{claims}: {found}");
    }
}

#[test]
fn an_audience_that_is_not_configured_is_refused() {
    let any = Issuer {
        audience: Vec::new(),
        ..issuer()
    };
    assert!(check(std::slice::from_ref(&any), &sign(&without("aud"))).is_ok());
    assert!(check(&[any], &sign(&good())).is_err());
}

#[test]
fn signatures_of_others_are_refused() {
    let token = sign(&good());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let payload = message.split_once('.').unwrap().1;
    let none = |header: &str| {
        use base64::Engine as _;
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header);
        format!("{header}.{payload}.")
    };
    let key = EncodingKey::from_secret(b"another secret of thirty-two bytes").unwrap();
    let other = encode(&Header::new(Algorithm::HS256), &good(), &key).unwrap();
    let key = EncodingKey::from_secret(SECRET).unwrap();
    let stronger = encode(&Header::new(Algorithm::HS512), &good(), &key).unwrap();
    for wrong in [
        String::new(),
        "..".to_owned(),
        format!("{message}."),
        format!("{message}.{}", &signature[1..]),
        none(r#"{"alg":"none"}"#),
        none(r#"{"alg":"None","typ":"JWT"}"#),
        none(r#"{"typ":"JWT"}"#),
        other,
        stronger,
    ] {
        assert!(check(&[issuer()], &wrong).is_err(), "{wrong}");
    }
    assert!(check(&[], &token).is_err());
}

/// The public key of a pair as the secret of an HMAC: the oldest trick.
#[test]
fn a_public_key_is_no_secret() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let public = pair.public_key_pem();
    let of_pair = Issuer {
        key: DecodingKey::from_ec_pem(public.as_bytes()).unwrap(),
        algorithms: vec![Algorithm::ES256],
        ..issuer()
    };
    let forged = EncodingKey::from_secret(public.as_bytes()).unwrap();
    let forged = encode(&Header::new(Algorithm::HS256), &good(), &forged).unwrap();
    assert!(check(std::slice::from_ref(&of_pair), &forged).is_err());
    let signed = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
    let signed = encode(&Header::new(Algorithm::ES256), &good(), &signed).unwrap();
    assert_eq!(
        check(&[issuer(), of_pair], &signed).unwrap().subject,
        "anna"
    );
}
