//! Reading of the ledger's lines, oldest first.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};

use super::backwards::LINE_BYTES_MAX;
use super::error::LedgerError;
use super::line::Line;
use super::newest::Stretch;
use crate::core::totals::Cursor;

impl Stretch {
    /// Returns lines, oldest first, until they have `bytes` or end, and the position behind them.
    /// Lines that cannot be read are left out: the history reports them. A segment that was moved
    /// away has no lines.
    ///
    /// # Errors
    /// When the segment cannot be read.
    pub fn read(&self, bytes: u64) -> Result<(Vec<Line>, Cursor), LedgerError> {
        let (path, mut at) = (self.path(), self.from());
        let behind = |offset| Cursor {
            offset,
            ..self.end()
        };
        let mut lines = Vec::new();
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((lines, self.end())),
            Err(error) => return Err(LedgerError::io("open", path)(error)),
        };
        let failed = |error| LedgerError::io("read", path)(error);
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        let end = self.end().offset;
        let mut reader = BufReader::new(file.take(end.saturating_sub(at)));
        let until = at.saturating_add(bytes);
        while at < until.min(end) {
            let mut line = Vec::new();
            let mut limited = reader.by_ref().take(LINE_BYTES_MAX as u64);
            let mut length = limited.read_until(b'\n', &mut line).map_err(failed)?;
            if length == 0 {
                break;
            }
            if !line.ends_with(b"\n") {
                length += reader.skip_until(b'\n').map_err(failed)?;
            }
            at += length as u64;
            lines.extend(serde_json::from_slice::<Line>(&line).ok());
        }
        Ok((lines, behind(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::{Ledger, Options};
    use super::super::line::sample;
    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "these are the ledger's own files"
    )]
    fn lines_are_read_oldest_first_page_by_page_and_bad_ones_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let ledger = Ledger::open(&path, Options::default()).unwrap();
        for id in 1..=3 {
            ledger.append(&[sample(id)]).unwrap();
        }
        let ids = |from: Option<Cursor>, bytes| {
            let stretches = ledger.stretches(from);
            let (lines, end) = stretches[0].read(bytes).unwrap();
            let ids: Vec<u64> = lines.iter().map(|line| line.id).collect();
            (ids, end)
        };
        let (first, behind) = ids(None, 1);
        assert_eq!(first, [1]);
        assert_eq!(ids(Some(behind), u64::MAX), (vec![2, 3], ledger.end()));
        assert_eq!(ids(Some(ledger.end()), u64::MAX), (vec![], ledger.end()));
        let segment = std::fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|kind| kind == "jsonl"))
            .unwrap();
        let text = std::fs::read_to_string(&segment).unwrap();
        std::fs::write(&segment, text.replacen("{\"id\":2", "!\"id\":2", 1)).unwrap();
        assert_eq!(ids(None, u64::MAX).0, [1, 3]);
        std::fs::remove_file(&segment).unwrap();
        assert_eq!(ids(None, u64::MAX), (vec![], ledger.end()));
    }
}
