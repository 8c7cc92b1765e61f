//! Sizes as people write and read them: `1000`, `10kB`, `10M`, `1.5GiB`.

/// Text that is no size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SizeError {
    /// It is no number with a known unit.
    #[error("invalid size")]
    Invalid,
    /// It exceeds 2⁶⁴ bytes.
    #[error("size too large")]
    TooLarge,
}

/// Number of files with their size, as in "2 files (14 B)".
#[must_use]
pub fn files(files: u64, bytes: u64) -> String {
    format!("{} ({})", counted(files), short(bytes))
}

/// Number of files that were removed with their size, as in "2 files removed (14 B)".
#[must_use]
pub fn removed(files: u64, bytes: u64) -> String {
    format!("{} removed ({})", counted(files), short(bytes))
}

fn counted(files: u64) -> String {
    let noun = if files == 1 { "file" } else { "files" };
    format!("{files} {noun}")
}

/// Digits of a fraction that fit the sum; more say nothing.
const FRACTION_DIGITS_MAX: usize = 9;

/// Parses a number of bytes, rounded to the nearest one. `k`, `M`, `G`, `T` count in thousands,
/// `Ki`, `Mi`, `Gi`, `Ti` in 1024s; a closing `B` changes nothing, nor does case. Digits may be
/// grouped by `_`.
///
/// # Errors
/// If `text` is no size, or it does not fit 64 bits.
pub fn parse(text: &str) -> Result<u64, SizeError> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let factor: u128 = match unit.strip_suffix('b').unwrap_or(&unit) {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        "ti" => 1 << 40,
        _ => return Err(SizeError::Invalid),
    };
    let number = number.replace('_', "");
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // A fraction of a byte is nothing that a person means.
    let is_part_of_byte = number.contains('.') && factor == 1;
    if !is_digits(whole) || !is_digits(fraction) || is_part_of_byte {
        return Err(SizeError::Invalid);
    }
    if fraction.len() > FRACTION_DIGITS_MAX {
        return Err(SizeError::Invalid);
    }
    let parse = |digits: &str| digits.parse::<u64>().map_err(|_| SizeError::TooLarge);
    let of = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
    let part = (u128::from(parse(fraction)?) * factor + of / 2) / of;
    let bytes = u128::from(parse(whole)?) * factor + part;
    u64::try_from(bytes).map_err(|_| SizeError::TooLarge)
}

/// Bytes in the largest binary unit that leaves a number of at least one: `0 B`, `1.5 KiB`, `312
/// MiB`.
#[must_use]
pub fn short(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths in whole numbers, rounded to the nearest.
    let bytes = u128::from(bytes);
    let (mut unit, mut scale) = (0, 1024);
    let in_tenths = |scale: u128| (bytes * 10 + scale / 2) / scale;
    while in_tenths(scale) >= 10_240 {
        scale *= 1024;
        unit += 1;
    }
    let tenths = in_tenths(scale);
    if tenths < 100 {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    } else {
        format!("{} {}", (bytes + scale / 2) / scale, UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("1_000", 1000),
            ("10kB", 10_000),
            ("10K", 10_000),
            ("10M", 10_000_000),
            ("1.5GiB", 3 << 29),
            ("2 TiB", 2 << 40),
            ("0.5k", 500),
            ("0.0006k", 1),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for bad in [
            "", "B", "k", "_", "-1", "1.", ".5k", "1.5", "1x", "1e3", "1.2.3k",
        ] {
            assert_eq!(parse(bad), Err(SizeError::Invalid), "{bad}");
        }
        for large in ["99999999999T", "99999999999999999999"] {
            assert_eq!(parse(large), Err(SizeError::TooLarge), "{large}");
        }
    }
}
