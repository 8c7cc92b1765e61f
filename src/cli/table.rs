//! Tables for people: as wide as the terminal, as plain as a file.
//!
//! **Invariant:** a row is one line. On a terminal that is too narrow columns go first, in the
//! order that the table says; then the path is shortened in its middle. Away from a terminal
//! nothing is left out.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr;

use super::human;
use super::output::Screen;

/// A path is not shortened below this: fewer columns do not tell it apart.
const PATH_COLUMNS_MIN: usize = 24;

/// Blanks between columns.
const GAP: usize = 2;

/// Behavior of a column in too little room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fit {
    /// It is always there.
    Stay,
    /// It goes when there is no room: the lowest number first.
    Yield(u8),
    /// A path: takes the room that is left. One at most, as the last column.
    Path,
}

/// A column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Its head.
    pub title: &'static str,
    /// Behavior.
    pub fit: Fit,
    /// True if its values are numbers, which are aligned to the right.
    pub number: bool,
}

/// Color of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// As all.
    Plain,
    /// Not what matters.
    Dim,
    /// Somebody may want to look at it.
    Warn,
}

/// Rows under columns.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<(String, Tone)>>,
    headed: bool,
}

impl Column {
    /// A column of text.
    #[must_use]
    pub const fn text(title: &'static str, fit: Fit) -> Self {
        Self {
            title,
            fit,
            number: false,
        }
    }

    /// A column of numbers.
    #[must_use]
    pub const fn number(title: &'static str, fit: Fit) -> Self {
        Self {
            title,
            fit,
            number: true,
        }
    }
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
            headed: true,
        }
    }

    /// Adds a row: a value for each column. Control characters are spelled out.
    ///
    /// # Panics
    /// When there are more or fewer values than columns.
    pub fn row<S: AsRef<str>>(&mut self, values: impl IntoIterator<Item = (S, Tone)>) {
        let values: Vec<_> = values
            .into_iter()
            .map(|(text, tone)| (human::safe(text.as_ref()), tone))
            .collect();
        assert_eq!(
            values.len(),
            self.columns.len(),
            "invariant: a value for each column"
        );
        self.rows.push(values);
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns true if there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Forgets the rows, and shows no more head: for tables that are printed in parts.
    pub fn go_on(&mut self) {
        self.rows.clear();
        self.headed = false;
    }

    /// Renders the table: one line a row, each with its newline.
    #[must_use]
    pub fn render(&self, screen: Screen) -> String {
        let (shown, path_columns) = self.fit(screen);
        let head = self.headed.then(|| {
            let titles = shown.iter().map(|&place| self.columns[place].title);
            titles.map(|title| TableCell::new(title.into(), Style::Bold))
        });
        let rows = self.rows.iter().map(|row| {
            let cells = shown.iter().map(|&place| {
                let (text, tone) = &row[place];
                let text = match (self.columns[place].fit, path_columns) {
                    (Fit::Path, Some(columns)) => human::fit_path(text, columns).into(),
                    (Fit::Path | Fit::Stay | Fit::Yield(_), _) => Cow::from(text),
                };
                TableCell::new(text, Style::Tone(*tone))
            });
            cells.collect()
        });
        let rows: Vec<Vec<TableCell<'_>>> = head
            .map(Iterator::collect)
            .into_iter()
            .chain(rows)
            .collect();
        let widest = |at: usize| rows.iter().map(|row| row[at].width).max();
        let widths: Vec<usize> = (0..shown.len()).filter_map(widest).collect();
        let mut text = String::new();
        for row in &rows {
            for ((cell, width), &place) in row.iter().zip(&widths).zip(&shown) {
                let blanks = width - cell.width;
                let is_number = self.columns[place].number;
                let (left, right) = if is_number { (blanks, 0) } else { (0, blanks) };
                text.extend(std::iter::repeat_n(' ', left));
                cell.push_to(&mut text, screen.color);
                text.extend(std::iter::repeat_n(' ', right + GAP));
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        text
    }

    /// Columns that are shown, and the room for the path; `None` if that is not limited.
    fn fit(&self, screen: Screen) -> (Vec<usize>, Option<usize>) {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let Some(width) = screen.width else {
            return (shown, None);
        };
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|place| self.width_of(place))
            .collect();
        let fixed = |shown: &[usize]| -> usize {
            let columns = shown.iter().map(|&place| match self.columns[place].fit {
                Fit::Path => 0,
                Fit::Stay | Fit::Yield(_) => widths[place],
            });
            columns.sum::<usize>() + GAP * shown.len().saturating_sub(1)
        };
        let path_place = self.columns.iter().position(|c| c.fit == Fit::Path);
        let path_min = path_place.map_or(0, |place| widths[place].min(PATH_COLUMNS_MIN));
        while fixed(&shown) + path_min > width {
            let first_to_go = shown
                .iter()
                .enumerate()
                .filter_map(|(at, &place)| match self.columns[place].fit {
                    Fit::Yield(rank) => Some((rank, at)),
                    Fit::Stay | Fit::Path => None,
                })
                .min();
            let Some((_, at)) = first_to_go else { break };
            shown.remove(at);
        }
        let left = width.saturating_sub(fixed(&shown)).max(path_min);
        (shown, path_place.map(|_| left))
    }

    fn width_of(&self, place: usize) -> usize {
        let values = self.rows.iter().map(|row| row[place].0.width());
        values
            .chain([self.columns[place].title.width()])
            .max()
            .unwrap_or(0)
    }
}

/// Value with the columns that it takes.
struct TableCell<'t> {
    text: Cow<'t, str>,
    width: usize,
    style: Style,
}

/// Style of a value where there is color.
#[derive(Clone, Copy)]
enum Style {
    /// Of a title.
    Bold,
    /// Of a value.
    Tone(Tone),
}

impl<'t> TableCell<'t> {
    fn new(text: Cow<'t, str>, style: Style) -> Self {
        let width = text.width();
        Self { text, width, style }
    }

    /// Appends the value, between escape sequences (ECMA-48, SGR) if `color` is wanted.
    fn push_to(&self, line: &mut String, color: bool) {
        let code = match self.style {
            Style::Bold => "\u{1b}[1m",
            Style::Tone(Tone::Dim) => "\u{1b}[2m",
            Style::Tone(Tone::Warn) => "\u{1b}[33m",
            Style::Tone(Tone::Plain) => "",
        };
        if !color || code.is_empty() {
            line.push_str(&self.text);
            return;
        }
        line.extend([code, &self.text, "\u{1b}[0m"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[
            Column::number("SIZE", Fit::Stay),
            Column::text("CHANGED", Fit::Yield(1)),
            Column::text("LAPSES", Fit::Stay),
            Column::text("RULE", Fit::Yield(2)),
            Column::text("JOB", Fit::Yield(0)),
            Column::text("PATH", Fit::Path),
        ]);
        for (size, lapses, tone, path) in [
            (
                "1.5 KiB",
                "in 3 h",
                Tone::Plain,
                "/srv/results/2024/11/a-long-directory-name/job-4711/summary.csv",
            ),
            ("12 GiB", "overdue: open", Tone::Warn, "/srv/results/x"),
        ] {
            table.row([
                (size, Tone::Plain),
                ("12 min ago", Tone::Dim),
                (lapses, tone),
                ("results of successful jobs", Tone::Plain),
                ("job-4711", Tone::Plain),
                (path, Tone::Plain),
            ]);
        }
        table
    }

    fn rendered(width: Option<usize>) -> String {
        let color = false;
        table().render(Screen { width, color })
    }

    #[test]
    fn a_narrow_terminal_gets_what_matters() {
        insta::assert_snapshot!(rendered(Some(60)), @r"
           SIZE  LAPSES         PATH
        1.5 KiB  in 3 h         /srv/results/2024/11/a-…/summary.csv
         12 GiB  overdue: open  /srv/results/x
        ");
    }

    #[test]
    fn a_usual_terminal() {
        insta::assert_snapshot!(rendered(Some(80)), @r"
           SIZE  LAPSES         RULE                        PATH
        1.5 KiB  in 3 h         results of successful jobs  /srv/results/20…/summary.csv
         12 GiB  overdue: open  results of successful jobs  /srv/results/x
        ");
    }

    #[test]
    fn a_wide_terminal() {
        insta::assert_snapshot!(rendered(Some(120)), @r"
           SIZE  CHANGED     LAPSES         RULE                        JOB       PATH
        1.5 KiB  12 min ago  in 3 h         results of successful jobs  job-4711  /srv/results/2024/11/a-long-direc…/summary.csv
         12 GiB  12 min ago  overdue: open  results of successful jobs  job-4711  /srv/results/x
        ");
    }

    #[test]
    fn away_from_a_terminal_nothing_is_left_out() {
        insta::assert_snapshot!(rendered(None), @r"
           SIZE  CHANGED     LAPSES         RULE                        JOB       PATH
        1.5 KiB  12 min ago  in 3 h         results of successful jobs  job-4711  /srv/results/2024/11/a-long-directory-name/job-4711/summary.csv
         12 GiB  12 min ago  overdue: open  results of successful jobs  job-4711  /srv/results/x
        ");
    }

    #[test]
    fn lines_fit_every_width_that_can_be() {
        for width in 50..200 {
            for line in rendered(Some(width)).lines() {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn color_is_only_where_it_is_wanted() {
        let screen = Screen {
            width: Some(80),
            color: true,
        };
        assert!(table().render(screen).contains("\u{1b}["));
        assert!(!rendered(Some(80)).contains('\u{1b}'));
    }
}
