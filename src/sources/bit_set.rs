//! Set of the known jobs that a reading has met: a bit for each.

/// A set of small numbers.
#[derive(Default)]
pub(super) struct BitSet(Vec<u64>);

impl BitSet {
    /// Takes note of `number`; says whether it was new.
    pub(super) fn tick(&mut self, number: u32) -> bool {
        let (word, bit) = place(number);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let was = self.0[word] & bit != 0;
        self.0[word] |= bit;
        !was
    }

    /// Returns whether `number` was taken note of.
    pub(super) fn has(&self, number: u32) -> bool {
        let (word, bit) = place(number);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

fn place(number: u32) -> (usize, u64) {
    (number as usize / 64, 1 << (number % 64))
}
