//! Numbers in few bytes.
//!
//! **Invariant:** every `u64` and every `i64` comes back as it was.

/// Appends `value`, seven bits a byte, least significant first (LEB128).
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Reads what [`put`] wrote at `at`, and moves `at` behind it.
///
/// # Panics
/// Panics when there is no number at `at`.
pub(super) fn take(bytes: &[u8], at: &mut usize) -> u64 {
    let mut value = 0;
    let mut shift = 0;
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
        shift += 7;
    }
}

/// Maps numbers near zero, of either sign, to small numbers (zigzag).
pub(super) fn fold_sign(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// The inverse of [`fold_sign`].
pub(super) fn unfold_sign(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Number of bytes that `value` needs: 0 to 8.
pub(super) fn width(value: u64) -> usize {
    (64 - value.leading_zeros() as usize).div_ceil(8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(values in prop::collection::vec(any::<(u64, u32)>(), 0..20)) {
            let values: Vec<u64> = values.iter().map(|&(v, bits)| v >> (bits % 64)).collect();
            let mut out = Vec::new();
            for &value in &values {
                put(&mut out, value);
                prop_assert_eq!(unfold_sign(fold_sign(value.cast_signed())), value.cast_signed());
                prop_assert!(width(value) == 8 || value >> (8 * width(value)) == 0);
            }
            let mut at = 0;
            for &value in &values {
                let again = postcard::take_from_bytes::<u64>(&out[at..]);
                prop_assert_eq!(take(&out, &mut at), value);
                prop_assert_eq!(again, Ok((value, &out[at..])));
            }
            prop_assert!(postcard::take_from_bytes::<u64>(&out[at..]).is_err());
            prop_assert_eq!(at, out.len());
        }
    }

    #[test]
    fn small_numbers_of_either_sign_take_one_byte() {
        for value in [-64, -1, 0, 1, 63] {
            let mut out = Vec::new();
            put(&mut out, fold_sign(value));
            assert_eq!(out.len(), 1, "{value}");
        }
        assert_eq!((width(0), width(1), width(255), width(256)), (0, 1, 1, 2));
    }
}
