//! The calling user's crontab, and the block in it that `lapsed install` writes.
//!
//! **Invariant:** all that stands outside of the block stays, byte for byte; where the crontab
//! cannot be read, it is never written.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use thiserror::Error;

/// Answers of crontabs of several systems about a user who has none.
const ABSENT: [&str; 2] = ["no crontab", "No such file"];

/// Failure to read or write the crontab.
#[derive(Debug, Error)]
pub(super) enum CrontabError {
    /// There is no cron.
    #[error("cannot run crontab: {0}\n  install cron, or give --method systemd")]
    NoProgram(io::Error),
    /// It refuses.
    #[error("crontab {action}: {why}", why = said.trim())]
    Refused { action: &'static str, said: String },
    /// The block has lost a line.
    #[error(
        "the crontab has a part of the block of \"{0}\"\n  remove the lines \"{begin}\" and \"{end}\" with crontab -e", begin = begin(.0), end = end(.0)
    )]
    Damaged(String),
}

/// First line of the block, to where its advice begins.
fn begin(unit: &str) -> String {
    format!("# lapsed install {unit}: begin")
}

fn end(unit: &str) -> String {
    format!("# lapsed install {unit}: end")
}

/// The block of `unit`, with `entry` in it; `undo` is the command that removes it.
pub(super) fn block(unit: &str, entry: &str, undo: &str) -> String {
    format!("{}; undo: {undo}\n{entry}\n{}\n", begin(unit), end(unit))
}

/// `crontab` with `block` in the place of the one of `unit`, or behind all else; without a block,
/// that one is left out. `None`: it is so already.
pub(super) fn with_block(
    crontab: &[u8],
    unit: &str,
    block: Option<&str>,
) -> Result<Option<Vec<u8>>, CrontabError> {
    let damaged = || CrontabError::Damaged(unit.to_owned());
    let (begin, end) = (format!("{};", begin(unit)), end(unit));
    let (mut first, mut behind, mut at) = (None, None, 0);
    for line in crontab.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_end();
        if text.starts_with(begin.as_bytes()) {
            if first.replace(at).is_some() {
                return Err(damaged());
            }
        } else if text == end.as_bytes()
            && (first.is_none() || behind.replace(at + line.len()).is_some())
        {
            return Err(damaged());
        }
        at += line.len();
    }
    let (before, after) = match (first, behind) {
        (Some(first), Some(behind)) => (&crontab[..first], &crontab[behind..]),
        (None, None) => (crontab, &[][..]),
        (Some(_), None) | (None, Some(_)) => return Err(damaged()),
    };
    let mut new = before.to_vec();
    if let Some(block) = block {
        if new.last().is_some_and(|byte| *byte != b'\n') {
            new.push(b'\n');
        }
        new.extend_from_slice(block.as_bytes());
    }
    new.extend_from_slice(after);
    Ok(Some(new).filter(|new| new != crontab))
}

/// Reads the caller's crontab; empty: there is none.
pub(super) fn read() -> Result<Vec<u8>, CrontabError> {
    let output = crontab("-l").output().map_err(CrontabError::NoProgram)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if ABSENT.iter().any(|absent| said.contains(absent)) {
        return Ok(Vec::new());
    }
    let action = "-l";
    Err(CrontabError::Refused { action, said })
}

/// Replaces the caller's crontab.
pub(super) fn write(text: &[u8]) -> Result<(), CrontabError> {
    let child = crontab("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(CrontabError::NoProgram)?;
    let written = child
        .stdin
        .take()
        .map_or(Ok(()), |mut stdin| stdin.write_all(text));
    let output = child.wait_with_output().map_err(CrontabError::NoProgram)?;
    let is_written = written.is_ok_and(|()| output.status.success());
    if is_written {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let action = "-";
    Err(CrontabError::Refused { action, said })
}

fn crontab(action: &str) -> Command {
    let mut command = Command::new("crontab");
    // What it says is compared.
    command.arg(action).env("LC_ALL", "C").stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(crontab: &[u8], unit: &str, entry: Option<&str>) -> Option<Vec<u8>> {
        let block = entry.map(|entry| block(unit, entry, "undo it"));
        with_block(crontab, unit, block.as_deref()).unwrap()
    }

    #[test]
    fn the_block_is_replaced_and_all_else_stays_as_it_is() {
        let others: [&[u8]; 4] = [
            b"",
            b"MAILTO=x\n5 4 * * * other\n\n",
            b"\xff\xfe # no text\r\n\t1 1 * * * x\n",
            b"# lapsed install clean-up: begin; undo: x\n1 1 * * * y\n# lapsed install clean-up: end\n",
        ];
        for other in others {
            let one = put(other, "clean", Some("0 2 * * * one")).unwrap();
            assert!(one.starts_with(other));
            assert_eq!(put(&one, "clean", Some("0 2 * * * one")), None);
            let behind = [&one[..], b"9 9 * * * behind\n"].concat();
            let two = put(&behind, "clean", Some("0 3 * * * two")).unwrap();
            let text = String::from_utf8_lossy(&two).into_owned();
            assert!(
                text.contains("0 3 * * * two") && !text.contains("one"),
                "{text}"
            );
            let left = put(&two, "clean", None).unwrap();
            assert_eq!(left, [other, b"9 9 * * * behind\n"].concat());
            assert_eq!(put(&left, "clean", None), None);
        }
        // crontab(1) wants the last line to end.
        let ended = put(b"1 1 * * * x", "clean", Some("0 2 * * * one")).unwrap();
        assert!(ended.starts_with(b"1 1 * * * x\n# lapsed install"));
    }

    #[test]
    fn half_a_block_is_left_to_the_user() {
        for crontab in [
            "# lapsed install clean: begin; undo: x\n0 2 * * * x\n",
            "# lapsed install clean: end\n",
            "# lapsed install clean: end\n# lapsed install clean: begin; undo: x\n",
            "# lapsed install clean: begin; undo: x\n# lapsed install clean: begin; undo: x\n# lapsed install clean: end\n",
            "# lapsed install clean: begin; undo: x\n# lapsed install clean: end\n# lapsed install clean: end\n",
        ] {
            let refused = with_block(crontab.as_bytes(), "clean", None);
            assert!(
                matches!(refused, Err(CrontabError::Damaged(_))),
                "{crontab}"
            );
        }
    }
}
