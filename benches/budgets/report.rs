//! Rows, and the table that they make.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Map, Value, json};

/// The table is as wide as a page.
const WIDTH: u16 = 100;

/// Whether a budget is met.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    Met,
    NotMet,
    /// Why not.
    NotJudged(String),
}

impl Verdict {
    fn show(&self) -> String {
        match self {
            Self::Met => "met".to_owned(),
            Self::NotMet => "NOT MET".to_owned(),
            Self::NotJudged(why) => format!("not judged: {why}"),
        }
    }
}

/// One budget, measured.
#[derive(Debug)]
pub struct Row {
    /// The word for it on the command line.
    pub key: &'static str,
    what: String,
    ours: String,
    peer: String,
    ratio: String,
    budget: String,
    verdict: Verdict,
    notes: Vec<String>,
    figures: Map<String, Value>,
}

impl Row {
    pub fn new(key: &'static str, what: impl Into<String>) -> Self {
        Self {
            key,
            what: what.into(),
            ours: String::new(),
            peer: "–".to_owned(),
            ratio: "–".to_owned(),
            budget: String::new(),
            verdict: Verdict::NotJudged("no budget".to_owned()),
            notes: Vec::new(),
            figures: Map::new(),
        }
    }

    pub fn ours(mut self, text: impl Into<String>) -> Self {
        self.ours = text.into();
        self
    }

    pub fn peer(mut self, text: impl Into<String>) -> Self {
        self.peer = text.into();
        self
    }

    /// Ours by the peer's.
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = if ratio < 0.01 {
            format!("{ratio:.4}")
        } else {
            format!("{ratio:.2}")
        };
        self.figure("ratio", ratio)
    }

    pub fn budget(mut self, text: impl Into<String>, is_met: bool) -> Self {
        self.budget = text.into();
        self.verdict = if is_met {
            Verdict::Met
        } else {
            Verdict::NotMet
        };
        self
    }

    pub fn not_judged(mut self, why: impl Into<String>) -> Self {
        self.verdict = Verdict::NotJudged(why.into());
        self
    }

    /// As [`Row::not_judged`], when `is_so`.
    pub fn not_judged_if(self, is_so: bool, why: &str) -> Self {
        if is_so { self.not_judged(why) } else { self }
    }

    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    pub fn figure(mut self, name: &str, value: f64) -> Self {
        self.figures.insert(name.to_owned(), json!(value));
        self
    }

    /// The figures that are none: NaN becomes null in JSON.
    pub fn figures_missing(&self) -> Vec<&String> {
        let missing = self.figures.iter().filter(|(_, value)| value.is_null());
        missing.map(|(name, _)| name).collect()
    }

    pub fn has_figures(&self) -> bool {
        !self.figures.is_empty()
    }

    pub fn is_not_met(&self) -> bool {
        self.verdict == Verdict::NotMet
    }

    /// For those who wait.
    pub fn line(&self) -> String {
        format!(
            "{}: {} | {} | {} | {}",
            self.what,
            self.ours,
            self.peer,
            self.ratio,
            self.verdict.show()
        )
    }

    pub fn to_json(&self) -> Value {
        json!({
            "key": self.key, "what": self.what, "ours": self.ours, "peer": self.peer, "budget": self.budget,
            "verdict": self.verdict.show(), "notes": self.notes, "figures": self.figures,
        })
    }
}

/// The table with all notes below it.
pub fn show(rows: &[Row]) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header(["", "what", "ours", "peer", "ratio", "budget", "verdict"]);
    for (number, row) in (1..).zip(rows) {
        let verdict = row.verdict.show();
        let number = number.to_string();
        table.add_row([
            &number,
            &row.what,
            &row.ours,
            &row.peer,
            &row.ratio,
            &row.budget,
            &verdict,
        ]);
    }
    let mut text = table.to_string();
    for (number, row) in (1..).zip(rows) {
        for (place, note) in row.notes.iter().enumerate() {
            let number: String = if place == 0 {
                format!("{number:>3}  ")
            } else {
                " ".repeat(5)
            };
            text.push('\n');
            text.push_str(&number);
            text.push_str(&wrap(note));
        }
    }
    text
}

/// `text` in lines that fit behind five columns.
fn wrap(text: &str) -> String {
    let mut wrapped = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > usize::from(WIDTH) - 5 {
            wrapped.push_str("\n     ");
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}
