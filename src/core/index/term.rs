//! Terms: the distinct (class, time to live) pairs of a page.

use crate::core::facts::RuleId;
use crate::core::policy::Class;

/// Bytes of one (class, time to live) pair: tag, rule, milliseconds.
pub(super) const TERM_BYTES: usize = 11;
/// In a term's tag: a time to live is there.
const HAS_EXPIRE: u8 = 8;

/// Packs a class and a time to live.
pub(super) fn pack_term(class: Class, expire_ms: Option<i64>) -> [u8; TERM_BYTES] {
    let kind = match class {
        Class::Unruled => 0,
        Class::Kept(_) => 1,
        Class::File(_) => 2,
        Class::Dir(_) => 3,
        Class::Job(_) => 4,
    };
    let RuleId(rule) = class.rule().unwrap_or(RuleId(0));
    let mut term = [0; TERM_BYTES];
    term[0] = kind | if expire_ms.is_some() { HAS_EXPIRE } else { 0 };
    term[1..3].copy_from_slice(&rule.to_le_bytes());
    term[3..].copy_from_slice(&expire_ms.unwrap_or(0).to_le_bytes());
    term
}

/// The class and time to live of a term; `None`: it is no term.
pub(super) fn unpack_term(term: &[u8; TERM_BYTES]) -> Option<(Class, Option<i64>)> {
    let &[tag, r0, r1, ms @ ..] = term;
    let rule = RuleId(u16::from_le_bytes([r0, r1]));
    let class = match tag & !HAS_EXPIRE {
        0 => Class::Unruled,
        1 => Class::Kept(rule),
        2 => Class::File(rule),
        3 => Class::Dir(rule),
        4 => Class::Job(rule),
        _ => return None,
    };
    let expire_ms = (tag & HAS_EXPIRE != 0).then(|| i64::from_le_bytes(ms));
    Some((class, expire_ms))
}
