//! Free space and free inodes: a number, or a share of all.

use super::super::error::Refusal;
use super::super::setting::Setting;
use super::Size;
use crate::core::policy::Amount;

/// Bytes that a file system is to have free.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::config) struct FreeSpace(pub Amount);

/// Inodes that a file system is to have free.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::config) struct FreeInodes(pub Amount);

impl Setting for FreeSpace {
    const TYPES: &'static [&'static str] = &["integer", "string"];

    fn parse(text: &str) -> Result<Self, Refusal> {
        if let Some(share) = share(text)? {
            return Ok(Self(share));
        }
        let size = Size::<1>::parse(text);
        size.map(|size| Self(Amount::Number(size.0)))
            .map_err(|refusal| Refusal::new(refusal.reason).hint("examples: 20GiB, 10%"))
    }
}

impl Setting for FreeInodes {
    const TYPES: &'static [&'static str] = &["integer", "string"];

    fn parse(text: &str) -> Result<Self, Refusal> {
        if let Some(share) = share(text)? {
            return Ok(Self(share));
        }
        let count = u64::parse(text).map_err(|refusal| refusal.hint("examples: 100000, 5%"))?;
        Ok(Self(Amount::Number(count)))
    }
}

/// Parses a share in percent; `None`: the text is none.
fn share(text: &str) -> Result<Option<Amount>, Refusal> {
    let Some(number) = text.trim().strip_suffix('%') else {
        return Ok(None);
    };
    match number.trim().parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent < 100.0 => Ok(Some(Amount::Share(percent / 100.0))),
        Ok(_) | Err(_) => {
            Err(Refusal::new("is an invalid share").hint("allowed: above 0% and below 100%"))
        }
    }
}
