//! Templates: compiled when the configuration is loaded, rendered with bounded time.

use std::collections::BTreeSet;
use std::fmt;

use jiff::tz::TimeZone;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, ErrorKind};
use serde::Serialize;

use super::{filters, json};

/// Steps of a template for a result without items.
const FUEL_MIN: u64 = 100_000;

/// Steps of a template for each item of a result: ten loops over all of them, with forty steps
/// each.
const FUEL_PER_ITEM: u64 = 400;

/// The longest text, in bytes: a report of a million removals is shorter, and no template fills the
/// memory.
const TEXT_BYTES_MAX: usize = 1 << 29;

/// A template: a name in [`Templates`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    name: String,
    is_json: bool,
}

/// A mistake in a template, or in what it made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct TemplateError {
    /// Description.
    pub why: String,
    /// Line of the template, from 1.
    pub line: Option<usize>,
    /// Name of the template that it includes, where the mistake is in that.
    pub included: Option<String>,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.included, self.line) {
            (Some(name), Some(line)) => {
                write!(f, "line {line} of template \"{name}\": {}", self.why)
            }
            (None, Some(line)) if line > 1 => write!(f, "line {line} of it: {}", self.why),
            (_, _) => f.write_str(&self.why),
        }
    }
}

/// A part of the context that is made only where a template names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Need {
    /// What there was before.
    Before,
    /// What there is after.
    After,
    /// The last run.
    Last,
}

/// All templates of an adapter.
#[derive(Clone)]
pub struct Templates {
    /// Those that make JSON: each value is encoded.
    json: Environment<'static>,
    /// Those that make text.
    text: Environment<'static>,
    /// Names of those that others include.
    shared: BTreeSet<String>,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates").finish_non_exhaustive()
    }
}

impl Templates {
    /// No templates; their dates are in `zone`.
    #[must_use]
    pub fn new(zone: &TimeZone) -> Self {
        let environment = |escape: fn() -> AutoEscape| {
            let mut environment = Environment::new();
            environment.set_auto_escape_callback(move |_| escape());
            environment.set_debug(true);
            filters::prepare(&mut environment, zone);
            environment
        };
        let mut json = environment(|| AutoEscape::Json);
        json.add_filter("json", |value: Value| value);
        Self {
            json,
            text: environment(|| AutoEscape::None),
            shared: BTreeSet::new(),
        }
    }

    /// Adds `source`, which others include by this name.
    ///
    /// # Errors
    /// If it is not well formed.
    pub fn share(&mut self, name: &str, source: &str) -> Result<(), TemplateError> {
        self.shared.insert(name.to_owned());
        self.add(name.to_owned(), source, true)?;
        self.add(name.to_owned(), source, false)?;
        Ok(())
    }

    /// Adds `source`, which makes JSON and is called `name` in messages.
    ///
    /// # Errors
    /// If it is not well formed.
    pub fn add_json(&mut self, name: String, source: &str) -> Result<Template, TemplateError> {
        self.add(name, source, true)
    }

    /// Adds `source`, which makes text and is called `name` in messages.
    ///
    /// # Errors
    /// If it is not well formed.
    pub fn add_text(&mut self, name: String, source: &str) -> Result<Template, TemplateError> {
        self.add(name, source, false)
    }

    fn add(
        &mut self,
        name: String,
        source: &str,
        is_json: bool,
    ) -> Result<Template, TemplateError> {
        let environment = if is_json {
            &mut self.json
        } else {
            &mut self.text
        };
        environment
            .add_template_owned(name.clone(), source.to_owned())
            .map_err(|error| self.mistake(&name, &error))?;
        Ok(Template { name, is_json })
    }

    /// Checks that `source` is one expression.
    ///
    /// # Errors
    /// If it is not well formed.
    pub fn check_expression(&self, source: &str) -> Result<(), TemplateError> {
        let compiled = self.text.compile_expression(source).map(|_| ());
        compiled.map_err(|error| self.mistake("", &error))
    }

    /// Parts of the context that `template`, or one that others include, names.
    #[must_use]
    pub fn needs(&self, template: &Template) -> BTreeSet<Need> {
        let environment = self.environment(template);
        let names = self.shared.iter().chain([&template.name]);
        let found = names.filter_map(|name| environment.get_template(name).ok());
        let mentioned: BTreeSet<String> = found
            .flat_map(|template| template.undeclared_variables(false))
            .collect();
        let needs = [
            ("before", Need::Before),
            ("after", Need::After),
            ("last", Need::Last),
        ];
        let needs = needs
            .into_iter()
            .filter(|(name, _)| mentioned.contains(*name));
        needs.map(|(_, need)| need).collect()
    }

    /// Renders JSON on one line.
    ///
    /// # Errors
    /// If the template fails, or does not make JSON.
    pub fn render_json(
        &self,
        template: &Template,
        context: &Value,
        items: usize,
    ) -> Result<String, TemplateError> {
        self.format(template, context, items, json::Form::Compact)
    }

    /// Renders JSON on lines, indented by two spaces.
    ///
    /// # Errors
    /// If the template fails, or does not make JSON.
    pub fn render_indented(
        &self,
        template: &Template,
        context: &Value,
        items: usize,
    ) -> Result<String, TemplateError> {
        self.format(template, context, items, json::Form::Indented)
    }

    fn format(
        &self,
        template: &Template,
        context: &Value,
        items: usize,
        form: json::Form,
    ) -> Result<String, TemplateError> {
        let text = self.render_text(template, context, items)?;
        let text = json::without_trailing_commas(&text);
        json::format(&text, form).map_err(|error| TemplateError {
            why: format!("makes no JSON: {error}"),
            line: None,
            included: None,
        })
    }

    /// Renders text.
    ///
    /// # Errors
    /// If the template fails, or makes too much.
    pub fn render_text(
        &self,
        template: &Template,
        context: &Value,
        items: usize,
    ) -> Result<String, TemplateError> {
        let mut environment = self.environment(template).clone();
        let items = u64::try_from(items).unwrap_or(u64::MAX);
        environment.set_fuel(Some(
            FUEL_PER_ITEM.saturating_mul(items).saturating_add(FUEL_MIN),
        ));
        let mut text = Bounded(Vec::new());
        let found = environment.get_template(&template.name);
        found
            .and_then(|found| {
                found
                    .render_captured_to(context.clone(), &mut text)
                    .map(|_| ())
            })
            .map_err(|error| self.mistake(&template.name, &error))?;
        Ok(String::from_utf8_lossy(&text.0).into_owned())
    }

    fn environment(&self, template: &Template) -> &Environment<'static> {
        if template.is_json {
            &self.json
        } else {
            &self.text
        }
    }

    /// Describes `error` of the template `name`.
    fn mistake(&self, name: &str, error: &minijinja::Error) -> TemplateError {
        // An include wraps the mistake of what it includes.
        let mut inner = error;
        while inner.kind() == ErrorKind::BadInclude
            && let Some(source) = std::error::Error::source(inner)
            && let Some(source) = source.downcast_ref::<minijinja::Error>()
        {
            inner = source;
        }
        let why = match inner.kind() {
            ErrorKind::OutOfFuel => "takes too many steps".to_owned(),
            kind => match inner.detail() {
                Some(detail) => format!("{kind}: {detail}"),
                None => kind.to_string(),
            },
        };
        let at = inner.name().filter(|at| *at != name);
        TemplateError {
            why,
            line: inner.line(),
            included: at.filter(|at| self.shared.contains(*at)).map(str::to_owned),
        }
    }
}

/// Renders `source` once, in UTC: as JSON, of which each value is encoded, or as text.
///
/// # Errors
/// If it is not well formed, fails, or does not make JSON.
pub fn render_once(
    source: &str,
    context: &impl Serialize,
    is_json: bool,
) -> Result<String, TemplateError> {
    let mut templates = Templates::new(&TimeZone::UTC);
    let context = Value::from(Serde(context));
    if is_json {
        let template = templates.add_json(String::new(), source)?;
        templates.render_json(&template, &context, 0)
    } else {
        let template = templates.add_text(String::new(), source)?;
        templates.render_text(&template, &context, 0)
    }
}

/// Text that grows up to a limit.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > TEXT_BYTES_MAX {
            return Err(std::io::Error::other("the text is too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    fn templates() -> Templates {
        Templates::new(&TimeZone::UTC)
    }

    fn json_of(source: &str, context: &Value) -> Result<String, TemplateError> {
        let mut templates = templates();
        let template = templates.add_json("it".into(), source)?;
        templates.render_json(&template, context, 0)
    }

    #[test]
    fn values_stay_one_value_each_whatever_is_in_them() {
        let hostile = "\"},{{ 7*7 }}{% raw %}\n\\'</script>";
        let made = json_of(
            r#"{"a": {{ x }}, "b": [{% for y in ys %}{{ y }},{% endfor %}],}"#,
            &context! {
                x => hostile, ys => [hostile, hostile]
            },
        );
        let made: serde_json::Value = serde_json::from_str(&made.unwrap()).unwrap();
        assert_eq!(
            made,
            serde_json::json!({ "a": hostile, "b": [hostile, hostile] })
        );
    }

    #[test]
    fn templates_have_no_way_out() {
        for source in [
            "{{ x | safe }}",
            "{{ debug() }}",
            "{% include \"/etc/passwd\" %}",
            "{{ y }}",
        ] {
            assert!(json_of(source, &context! { x => "x" }).is_err(), "{source}");
        }
        let error = json_of(
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}1",
            &context! {},
        );
        assert_eq!(error.unwrap_err().why, "takes too many steps");
    }

    #[test]
    fn mistakes_have_their_lines() {
        let error = json_of("{\n\"a\": {{ x.y }}\n}", &context! { x => "x" }).unwrap_err();
        assert_eq!((error.line, error.included), (Some(2), None));
        let mut templates = templates();
        templates.share("part", "\n{{ nothing }}").unwrap();
        let template = templates
            .add_json("it".into(), "{% include 'part' %}")
            .unwrap();
        let error = templates
            .render_json(&template, &context! {}, 0)
            .unwrap_err();
        assert_eq!(
            (error.line, error.included.as_deref()),
            (Some(2), Some("part"))
        );
        assert_eq!(
            error.to_string(),
            "line 2 of template \"part\": undefined value: `nothing` is undefined"
        );
        assert!(json_of("{{ 1 +", &context! {}).is_err());
    }

    #[test]
    fn instants_sizes_and_spans() {
        let context = context! { at => 1_705_716_001.123_456_f64, day => 1_705_104_000, none => Value::from(()), s => 604_800, h => 5400 };
        for (source, wanted) in [
            (
                "{{ at | local | isoformat }}",
                "\"2024-01-20T02:00:01.123456\"",
            ),
            ("{{ day | utc | isoformat }}", "\"2024-01-13T00:00:00\""),
            ("{{ none | local | isoformat }}", "null"),
            (
                "{{ at | strftime('%Y%m%d_%H%M%S') }}",
                "\"20240120_020001\"",
            ),
            ("{{ s | days }}", "7"),
            ("{{ h | hours }}", "1.5"),
            ("{{ 1572864 | mb }}", "1.5"),
            ("{{ 0 | gb }}", "0.0"),
            ("{{ (25.44 * 1048576) | mb | round(1) }}", "25.4"),
            ("{{ '/a/b.c' | basename }}", "\"b.c\""),
            ("{{ '/a/b/c' | relative('/a') }}", "\"b/c\""),
        ] {
            assert_eq!(json_of(source, &context).unwrap(), wanted, "{source}");
        }
    }

    #[test]
    fn only_what_is_named_is_needed() {
        let mut templates = templates();
        let template = templates.add_json("it".into(), "{{ before.x }}").unwrap();
        assert_eq!(templates.needs(&template), [Need::Before].into());
        templates.share("part", "{{ after.x }}").unwrap();
        assert_eq!(
            templates.needs(&template),
            [Need::Before, Need::After].into()
        );
    }
}
