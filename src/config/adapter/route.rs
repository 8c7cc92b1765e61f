//! Routes of endpoints.

use super::super::error::Refusal;
use crate::adapter::Method;

/// Paths that lapsed itself answers, with everything below them.
const RESERVED: [&str; 5] = ["/v1", "/metrics", "/docs", "/openapi.json", "/dashboard"];

/// Parses `POST /api/cleanup`. A slash at the end of the path is dropped.
pub(super) fn parse(text: &str) -> Result<(Method, String), Refusal> {
    let refuse = |why: &str| {
        let hint = "write a method and a path, such as POST /api/cleanup";
        Err(Refusal::new(why).hint(hint))
    };
    let Some((method, path)) = text.trim().split_once(' ') else {
        return refuse("is no method and path");
    };
    let Ok(method) = method.parse() else {
        return refuse("has an unknown method: allowed are GET, POST, PUT and DELETE");
    };
    let path = path.trim();
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
    if !path.starts_with('/') || !path.chars().all(is_plain) || path.contains("//") {
        return refuse("has a path that is none, or has more than letters, digits and -._~");
    }
    if path.split('/').any(|part| part == "." || part == "..") {
        return refuse("has a path with \".\" or \"..\"");
    }
    let is_reserved = |reserved: &&&str| {
        let rest = path.strip_prefix(**reserved);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if let Some(reserved) = RESERVED.iter().find(is_reserved) {
        return refuse(&format!("is at {reserved}, which lapsed itself answers"));
    }
    Ok((method, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_methods_and_paths_of_their_own() {
        assert_eq!(
            parse("POST /api/cleanup/"),
            Ok((Method::Post, "/api/cleanup".into()))
        );
        assert_eq!(parse("GET /v1x"), Ok((Method::Get, "/v1x".into())));
        for wrong in [
            "",
            "/x",
            "POST",
            "POST x",
            "post /x",
            "GET /",
            "GET /v1",
            "GET /v1/files",
            "GET /docs/",
            "GET /a/../b",
            "GET //a",
            "GET /a?b",
            "GET /{a}",
            "GET /a%2f",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
