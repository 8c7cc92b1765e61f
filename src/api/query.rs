//! The query part of a request, taken strictly: what is not understood is refused, with what would be.
//!
//! **Invariant:** values are bytes until somebody asks for text: a path need not be UTF-8.

use std::time::Duration;

use axum::http::Uri;

use super::problem::Problem;

/// The parameters of one request; each name at most once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Query {
    pairs: Vec<(String, Vec<u8>)>,
}

impl Query {
    /// Takes the query of `uri` apart (`application/x-www-form-urlencoded`: `+` is a space).
    ///
    /// # Errors
    /// 400 for a name that is not `allowed`, a name given twice, and broken percent-encoding.
    pub fn parse(uri: &Uri, allowed: &[&str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, Vec<u8>)> = Vec::new();
        let text = uri.query().unwrap_or_default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)?;
            let name = String::from_utf8_lossy(&name).into_owned();
            if !allowed.contains(&name.as_str()) {
                let problem = Problem::bad_request(format!("unknown query parameter \"{name}\""));
                return Err(problem.allowed(allowed.iter().copied()));
            }
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(Problem::bad_request(format!(
                    "query parameter \"{name}\" is given twice"
                )));
            }
            pairs.push((name, decode(value)?));
        }
        Ok(Self { pairs })
    }

    /// The value of `name` as it was sent.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        let (_, value) = self.pairs.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    /// The value of `name` as text.
    ///
    /// # Errors
    /// 400 when it is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        self.bytes(name)
            .map(|value| {
                std::str::from_utf8(value).map_err(|_| {
                    Problem::bad_request(format!("query parameter \"{name}\" is not UTF-8"))
                })
            })
            .transpose()
    }

    /// The value of `name` as a duration: `90s`, `15m`, `12h`, `7d`, `1h30m`.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>, Problem> {
        self.read(
            name,
            "a duration such as 90s, 15m, 12h, 7d or 1h30m",
            |text| crate::core::span::parse(text).ok(),
        )
    }

    /// The value of `name` in bytes: `1000`, `10kB`, `10M`, `1.5GiB`.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn size(&self, name: &str) -> Result<Option<u64>, Problem> {
        self.read(name, "a size such as 1000, 10kB, 10M or 1.5GiB", parse_size)
    }

    /// The value of `name`: `true` or `false`; absent: false. Named without a value: true.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        let choices = [("true", true), ("false", false), ("", true)];
        Ok(self.choice(name, &choices)?.unwrap_or(false))
    }

    /// The value of `name` as a whole number.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        self.read(name, "a whole number", |text| text.parse().ok())
    }

    /// The value of `name` among `choices`.
    ///
    /// # Errors
    /// 400 for anything else, with the choices.
    pub fn choice<T: Copy>(
        &self,
        name: &str,
        choices: &[(&'static str, T)],
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let found = choices.iter().find(|(choice, _)| *choice == text);
        found.map(|&(_, value)| Some(value)).ok_or_else(|| {
            let names = choices.iter().map(|&(choice, _)| choice);
            refuse(name, text).allowed(names.filter(|choice| !choice.is_empty()))
        })
    }

    fn read<T>(
        &self,
        name: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        parse(text)
            .map(Some)
            .ok_or_else(|| refuse(name, text).hint(format!("give {expected}")))
    }
}

/// A 400 for the value `found` of parameter `name`.
#[must_use]
pub fn refuse(name: &str, found: &str) -> Problem {
    Problem::bad_request(format!("query parameter \"{name}\" cannot be \"{found}\""))
}

fn decode(text: &str) -> Result<Vec<u8>, Problem> {
    let broken = || Problem::bad_request(format!("\"{text}\" in the query is not percent-encoded"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, after) = rest.split_at_checked(2).ok_or_else(broken)?;
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let value = digit(digits[0]).zip(digit(digits[1]));
                let (high, low) = value.ok_or_else(broken)?;
                bytes.push(u8::try_from(high * 16 + low).map_err(|_| broken())?);
                rest = after;
            }
            plain => bytes.push(plain),
        }
    }
    Ok(bytes)
}

/// A number of bytes with an optional unit: k, M, G, T count in thousands, Ki, Mi, Gi, Ti in 1024s; a closing B changes
/// nothing, nor does case.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let factor: u64 = match unit {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        "ti" => 1 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = u32::try_from(fraction.len()).ok()?;
    // A fraction of a byte is nothing that a person means.
    if whole.is_empty() || digits > 9 || (number.contains('.') && (digits == 0 || factor == 1)) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = if digits == 0 {
        0
    } else {
        fraction.parse().ok()?
    };
    let part = u128::from(fraction) * u128::from(factor) / 10_u128.pow(digits);
    whole
        .checked_mul(factor)?
        .checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Query, Problem> {
        let uri = format!("/x?{text}").parse().unwrap();
        Query::parse(&uri, &["path", "within", "min", "sync", "sort"])
    }

    #[test]
    fn values_are_decoded_to_bytes() {
        let query = query("path=%2Fa+b%ff&sync=true&min=").unwrap();
        assert_eq!(query.bytes("path"), Some(&b"/a b\xff"[..]));
        assert_eq!(query.text("path").unwrap_err().status, 400);
        assert_eq!(query.flag("sync"), Ok(true));
        assert_eq!(query.flag("sort"), Ok(false));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_would_be() {
        let problem = query("rot=1").unwrap_err();
        assert_eq!(problem.detail, "unknown query parameter \"rot\"");
        assert_eq!(problem.allowed, ["path", "within", "min", "sync", "sort"]);
        assert!(query("path=1&path=2").is_err());
        for broken in ["path=%", "path=%f", "path=%zz", "path=%+1"] {
            assert_eq!(query(broken).unwrap_err().status, 400, "{broken}");
        }
        let problem = query("within=soon").unwrap().duration("within");
        assert!(problem.unwrap_err().hint.unwrap().contains("1h30m"));
        let problem = query("sort=x")
            .unwrap()
            .choice("sort", &[("age", 1), ("size", 2)]);
        assert_eq!(problem.unwrap_err().allowed, ["age", "size"]);
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("10kB", 10_000),
            ("10K", 10_000),
            ("10M", 10_000_000),
            ("1.5GiB", 3 << 29),
            ("2 TiB", 2 << 40),
            ("0.5k", 500),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for bad in [
            "",
            "B",
            "k",
            "-1",
            "1.",
            ".5k",
            "1.5",
            "1x",
            "1e3",
            "99999999999T",
            "1.2.3k",
        ] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }
}
