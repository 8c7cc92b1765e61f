//! Prometheus' text format, version 0.0.4.
//!
//! **Invariant:** a family has one `HELP` and one `TYPE`, and all of its samples follow them.

use std::fmt::{Display, Write as _};

/// Names and values of labels.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// Families of metrics as text.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins a family: a counter if its name ends with `_total`, as all counters' must, else a
    /// gauge.
    pub(super) fn family(&mut self, name: &'static str, help: &str) -> Family<'_> {
        let kind = if name.ends_with("_total") {
            "counter"
        } else {
            "gauge"
        };
        self.begin(name, kind, help);
        Family { all: self, name }
    }

    /// Adds a family with one histogram: upper edges with the number of values that are no
    /// greater, the number of all values, and their sum.
    pub(super) fn histogram(
        &mut self,
        name: &'static str,
        help: &str,
        buckets: impl IntoIterator<Item = (f64, u64)>,
        (count, sum): (u64, f64),
    ) {
        self.begin(name, "histogram", help);
        let infinity = ("+Inf".to_owned(), count);
        let buckets = buckets.into_iter();
        let buckets = buckets.map(|(edge, count)| (edge.to_string(), count));
        for (edge, count) in buckets.chain([infinity]) {
            self.sample(name, "_bucket", &[("le", &edge)], count);
        }
        self.sample(name, "_sum", &[], sum);
        self.sample(name, "_count", &[], count);
    }

    /// Returns the text.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: Labels<'_>, value: impl Display) {
        self.text.extend([name, suffix]);
        for (at, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', r"\\").replace('\n', r"\n");
            let value = value.replace('"', "\\\"");
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{value}\"");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{after} {value}");
    }
}

/// Family whose samples are added.
pub(super) struct Family<'a> {
    all: &'a mut Exposition,
    name: &'static str,
}

impl Family<'_> {
    /// Adds a sample.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.all.sample(self.name, "", labels, value);
    }

    /// Adds the only sample of the family, if there is one.
    pub(super) fn only(mut self, value: Option<impl Display>) {
        if let Some(value) = value {
            self.sample(&[], value);
        }
    }

    /// Adds a sample for each of `states`: 1 for the one that is `current`, 0 for the others.
    pub(super) fn states(&mut self, labels: Labels<'_>, states: &[&str], current: &str) {
        for &state in states {
            let labels = [labels, &[("state", state)]].concat();
            self.sample(&labels, u8::from(state == current));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_users_are_escaped() {
        let mut all = Exposition::default();
        let mut family = all.family("x_files", "Files.\nA \\ in it.");
        family.sample(&[("root", "a\"b\\c\nd"), ("rule", "")], 3);
        all.histogram("x_seconds", "Time.", [(0.005, 1), (1.0, 2)], (3, 1.5));
        insta::assert_snapshot!(all.into_text(), @r#"
        # HELP x_files Files.\nA \\ in it.
        # TYPE x_files gauge
        x_files{root="a\"b\\c\nd",rule=""} 3
        # HELP x_seconds Time.
        # TYPE x_seconds histogram
        x_seconds_bucket{le="0.005"} 1
        x_seconds_bucket{le="1"} 2
        x_seconds_bucket{le="+Inf"} 3
        x_seconds_sum 1.5
        x_seconds_count 3
        "#);
    }
}
