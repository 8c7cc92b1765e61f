//! Variables within strings: `${NAME}`, `${NAME:-default}`, `${NAME:+text}`, `${NAME?then:else}`,
//! and `$$` for a dollar. Names of nested entries of files have dots: `${a.b}`.
//!
//! As in the shell (POSIX, "Parameter Expansion"), a default replaces a variable that is unset *or
//! empty*. The text after `:+` is used if the variable is set and not empty; otherwise the result
//! is empty. `?` chooses by a truth value: `else` also stands for a variable that is unset or
//! empty. All of these texts may themselves name variables.
//!
//! **Invariant:** values are never expanded again: a dollar in a variable is a dollar.
//! **Invariant:** a dollar that begins none of these forms is always refused, never passed on.

use super::error::{NOT_SET, Refusal};
use super::value::flag_word;
use super::variables::Variables;

/// Deepest nesting of defaults and texts: bounds the recursion, and people do not nest deeper.
const DEPTH_MAX: usize = 8;

/// Replaces the variables in `text`. Calls `referred` with the name of each.
pub(super) fn interpolate(
    text: &str,
    variables: &Variables<'_>,
    referred: &mut dyn FnMut(&str),
) -> Result<String, Refusal> {
    let mut expansion = Expansion {
        rest: text,
        variables,
        referred,
    };
    expansion.expand(0, Need::Value)
}

/// Use of the text that is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// The text is used: its variables must be set.
    Value,
    /// The text is discarded: it must only be well-formed.
    Syntax,
}

/// Operator after the name of a variable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    /// `:-`: the text replaces a variable that is unset or empty.
    Default,
    /// `:+`: the text replaces a variable that is set and not empty.
    Alternative,
    /// `?`: of two texts with a colon between, the first replaces a variable that is true.
    Choice,
}

struct Expansion<'t, 'e> {
    rest: &'t str,
    variables: &'e Variables<'e>,
    referred: &'e mut dyn FnMut(&str),
}

impl<'t> Expansion<'t, '_> {
    /// Reads up to the end or, within a default or text, up to the brace that closes it.
    fn expand(&mut self, depth: usize, need: Need) -> Result<String, Refusal> {
        let stops: &[char] = if depth == 0 { &['$'] } else { &['$', '}'] };
        self.expand_to(stops, depth, need)
    }

    /// Reads up to the first of `stops` outside of a variable, which is left to the caller.
    fn expand_to(&mut self, stops: &[char], depth: usize, need: Need) -> Result<String, Refusal> {
        let mut out = String::new();
        while let Some(at) = self.rest.find(stops) {
            out.push_str(&self.rest[..at]);
            self.rest = &self.rest[at..];
            if !self.rest.starts_with('$') {
                return Ok(out);
            }
            if self.take("$$") {
                out.push('$');
            } else if self.take("${") {
                out.push_str(&self.variable(depth, need)?);
            } else {
                return Err(refuse("has a \"$\" that names no variable"));
            }
        }
        if depth > 0 {
            return Err(unclosed());
        }
        out.push_str(self.rest);
        Ok(out)
    }

    /// Reads the rest of a reference after `${`, including its closing brace.
    fn variable(&mut self, depth: usize, need: Need) -> Result<String, Refusal> {
        let name = self.name()?;
        (self.referred)(name);
        let value = match need {
            Need::Value => self.value(name)?,
            Need::Syntax => Some(String::new()),
        };
        if self.take("}") {
            return value.ok_or_else(|| unset(name));
        }
        let operator = if self.take(":-") {
            Operator::Default
        } else if self.take(":+") {
            Operator::Alternative
        } else if self.take("?") {
            Operator::Choice
        } else {
            return Err(refuse(&format!(
                "has \"${{{name}\" followed by none of \"}}\", \":-\", \":+\" and \"?\""
            )));
        };
        if depth == DEPTH_MAX {
            return Err(Refusal::new(format!(
                "has defaults within defaults, more than {DEPTH_MAX} deep"
            )));
        }
        let value = value.filter(|value| !value.is_empty());
        let is_word_used = match operator {
            Operator::Default => value.is_none(),
            Operator::Alternative => value.is_some(),
            Operator::Choice => return self.choice(name, value.as_deref(), depth, need),
        };
        let word = self.expand(depth + 1, if is_word_used { need } else { Need::Syntax })?;
        if !self.take("}") {
            return Err(unclosed());
        }
        Ok(match operator {
            Operator::Default => value.unwrap_or(word),
            Operator::Alternative if is_word_used => word,
            Operator::Alternative | Operator::Choice => String::new(),
        })
    }

    /// Reads `then:else}` behind the question mark, and returns the text that `value` chooses.
    fn choice(
        &mut self,
        name: &str,
        value: Option<&str>,
        depth: usize,
        need: Need,
    ) -> Result<String, Refusal> {
        let is_true = match value.map(|value| flag_word(value).ok_or_else(|| untruth(name))) {
            None => false,
            Some(is_true) => is_true?,
        };
        let needs = |is_used| if is_used { need } else { Need::Syntax };
        let then = self.expand_to(&['$', ':', '}'], depth + 1, needs(is_true))?;
        if !self.take(":") {
            let reason = format!("has \"${{{name}?\" without a colon between two texts");
            return Err(refuse(&reason));
        }
        let otherwise = self.expand(depth + 1, needs(!is_true))?;
        if !self.take("}") {
            return Err(unclosed());
        }
        Ok(if is_true { then } else { otherwise })
    }

    fn name(&mut self) -> Result<&'t str, Refusal> {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
            .ok_or_else(unclosed)?;
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(refuse("has a \"${\" without the name of a variable"));
        }
        self.rest = rest;
        Ok(name)
    }

    fn value(&self, name: &str) -> Result<Option<String>, Refusal> {
        let Some(value) = self.variables.get(name) else {
            return Ok(None);
        };
        match value.to_str() {
            Some(value) => Ok(Some(value.to_owned())),
            None => Err(Refusal::new(format!(
                "names variable {name}, whose value is not UTF-8"
            ))),
        }
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

fn unset(name: &str) -> Refusal {
    Refusal::new(format!("names variable {name}{NOT_SET}"))
        .hint(format!("set it, or give a default: ${{{name}:-default}}"))
}

/// The value is not shown: it may be meant for another setting, and a secret there.
fn untruth(name: &str) -> Refusal {
    Refusal::new(format!(
        "names variable {name}, whose value is neither true nor false"
    ))
    .hint("true: true, yes, on, 1; false: false, no, off, 0")
}

fn unclosed() -> Refusal {
    refuse("has a \"${\" that is not closed by \"}\"")
}

fn refuse(reason: &str) -> Refusal {
    Refusal::new(reason).hint(
        "write ${NAME} for a variable, ${NAME:-default} for one with a default, ${NAME:+text} for text where it is set, ${NAME?then:else} for one of two texts, $$ for a dollar",
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::environment::Environment;
    use super::*;

    fn expand(text: &str, vars: &[(&str, &str)]) -> Result<String, Refusal> {
        let mut environment = Environment::new();
        environment.vars = vars
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        interpolate(text, &Variables::of_process(&environment), &mut |_| {})
    }

    #[test]
    fn variables_defaults_and_dollars() {
        let vars = [
            ("A", "a"),
            ("EMPTY", ""),
            ("D", "${A}$$"),
            ("YES", "On"),
            ("NO", " false "),
        ];
        for (text, wanted) in [
            ("", ""),
            ("plain {job}", "plain {job}"),
            ("x${A}y", "xay"),
            ("${A}${A}", "aa"),
            ("${A:-b}", "a"),
            ("${EMPTY}", ""),
            ("${EMPTY:-b}", "b"),
            ("${NONE:-}", ""),
            ("${NONE:-b c}d}", "b cd}"),
            ("${NONE:-${A}}", "a"),
            ("${NONE:-x${ALSO:-y$$}z}", "xy$z"),
            ("${A:-${NONE}}", "a"),
            ("${A:+b}", "b"),
            ("${EMPTY:+b}", ""),
            ("${NONE:+b}", ""),
            ("${A:+}", ""),
            ("${A:+x${A}y}", "xay"),
            ("${NONE:+${ALSO}}", ""),
            ("${EMPTY:+${ALSO}}", ""),
            ("${A:+${NONE:-z}}", "z"),
            ("${NONE:-${A:+q}}", "q"),
            ("${A:--b}", "a"),
            ("${NONE:--b}", "-b"),
            ("${A:++b}", "+b"),
            ("${YES?b:c}", "b"),
            ("${NO?b:c}", "c"),
            ("${NONE?b:c}", "c"),
            ("${EMPTY?b:c}", "c"),
            ("x${YES?:c}y${NO?b:}z", "xyz"),
            ("${YES?${A}:${NONE}}", "a"),
            ("${NO?${NONE}:${A:-x}}", "a"),
            ("${NO?b:c:d}", "c:d"),
            ("${YES?${NO?1:2}$$:3}", "2$"),
            ("${YES?${NONE:-b:c}:d}", "b:c"),
            ("${NONE:-${YES?b:c}}", "b"),
            ("$${A}", "${A}"),
            ("$$$$", "$$"),
            ("${D}", "${A}$$"),
            ("é${A}é", "éaé"),
        ] {
            assert_eq!(expand(text, &vars), Ok(wanted.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, wanted) in [
            ("${NONE}", "names variable NONE, which is not set"),
            ("${N:-${NONE}}", "names variable NONE, which is not set"),
            ("$A", "has a \"$\" that names no variable"),
            ("a$", "has a \"$\" that names no variable"),
            ("${A", "has a \"${\" that is not closed by \"}\""),
            ("${A:-b", "has a \"${\" that is not closed by \"}\""),
            ("${A:-${B:-}", "has a \"${\" that is not closed by \"}\""),
            ("${}", "has a \"${\" without the name of a variable"),
            ("${1}", "has a \"${\" without the name of a variable"),
            ("${ A}", "has a \"${\" without the name of a variable"),
            ("${A:+${NONE}}", "names variable NONE, which is not set"),
            ("${A:+b", "has a \"${\" that is not closed by \"}\""),
            ("${NONE:+$}", "has a \"$\" that names no variable"),
            (
                "${A-b}",
                "has \"${A\" followed by none of \"}\", \":-\", \":+\" and \"?\"",
            ),
            (
                "${A+b}",
                "has \"${A\" followed by none of \"}\", \":-\", \":+\" and \"?\"",
            ),
            (
                "${A?b:c}",
                "names variable A, whose value is neither true nor false",
            ),
            ("${N?b}", "has \"${N?\" without a colon between two texts"),
            ("${N?b", "has a \"${\" that is not closed by \"}\""),
            ("${N?b:c", "has a \"${\" that is not closed by \"}\""),
            ("${N?$:c}", "has a \"$\" that names no variable"),
            ("${N?b:${NONE}}", "names variable NONE, which is not set"),
            ("${A:-$}", "has a \"$\" that names no variable"),
        ] {
            let refusal = expand(text, &[("A", "a")]).unwrap_err();
            assert_eq!(refusal.reason, wanted, "{text}");
        }
        let deep = "${N:-".repeat(10) + &"}".repeat(10);
        assert_eq!(
            expand(&deep, &[]).unwrap_err().reason,
            "has defaults within defaults, more than 8 deep"
        );
    }

    #[test]
    fn what_is_not_utf_8_is_refused() {
        use std::os::unix::ffi::OsStringExt;
        let mut environment = Environment::new();
        let value = std::ffi::OsString::from_vec(vec![0xff]);
        environment.vars.insert("A".into(), value);
        let variables = Variables::of_process(&environment);
        let refusal = interpolate("${A:-x}", &variables, &mut |_| {}).unwrap_err();
        assert_eq!(refusal.reason, "names variable A, whose value is not UTF-8");
    }

    /// Part of a text, in the naive model.
    #[derive(Clone, Debug)]
    enum Part {
        Plain(String),
        Dollar,
        Variable(String),
        WithDefault(String, Vec<Part>),
        WithAlternative(String, Vec<Part>),
    }

    fn part() -> impl Strategy<Value = Part> {
        let name = "[A-D]_?[0-9]?";
        let leaf = prop_oneof![
            "[a-z{ /é]{0,4}".prop_map(Part::Plain),
            Just(Part::Dollar),
            name.prop_map(Part::Variable),
        ];
        leaf.prop_recursive(4, 24, 3, move |inner| {
            let word = prop::collection::vec(inner, 0..3);
            (name, word, any::<bool>()).prop_map(|(name, word, is_default)| {
                if is_default {
                    Part::WithDefault(name, word)
                } else {
                    Part::WithAlternative(name, word)
                }
            })
        })
    }

    fn written(parts: &[Part]) -> String {
        let one = |part: &Part| match part {
            Part::Plain(text) => text.clone(),
            Part::Dollar => "$$".into(),
            Part::Variable(name) => format!("${{{name}}}"),
            Part::WithDefault(name, default) => format!("${{{name}:-{}}}", written(default)),
            Part::WithAlternative(name, text) => format!("${{{name}:+{}}}", written(text)),
        };
        parts.iter().map(one).collect()
    }

    fn meant(parts: &[Part], vars: &BTreeMap<String, String>) -> Option<String> {
        let one = |part: &Part| match part {
            Part::Plain(text) => Some(text.clone()),
            Part::Dollar => Some("$".into()),
            Part::Variable(name) => vars.get(name).cloned(),
            Part::WithDefault(name, default) => vars
                .get(name)
                .filter(|value| !value.is_empty())
                .cloned()
                .or_else(|| meant(default, vars)),
            Part::WithAlternative(name, text) => match vars.get(name) {
                Some(value) if !value.is_empty() => meant(text, vars),
                Some(_) | None => Some(String::new()),
            },
        };
        parts.iter().map(one).collect()
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_model(
            parts in prop::collection::vec(part(), 0..6),
            vars in prop::collection::btree_map("[A-D]_?[0-9]?", "[a-z$}{]{0,3}", 0..30),
        ) {
            let pairs: Vec<_> = vars.iter().map(|(name, value)| (&**name, &**value)).collect();
            let found = expand(&written(&parts), &pairs);
            prop_assert_eq!(found.ok(), meant(&parts, &vars));
        }

        #[test]
        fn text_without_dollars_stays(text in "[^$]*") {
            prop_assert_eq!(expand(&text, &[]), Ok(text));
        }

        #[test]
        fn no_text_makes_it_fall_over(text in "[$\\{}:A?+-]{0,40}") {
            let _ = expand(&text, &[("A", "a")]);
        }
    }
}
