//! Bytes as choices.

/// Reads choices off the front of the fuzzer's bytes; all zeros when they are used up.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn below(&mut self, count: u8) -> u8 {
        self.byte() % count
    }

    pub(crate) fn long(&mut self) -> i64 {
        (0..8).fold(0, |value, _| value << 8 | i64::from(self.byte()))
    }

    /// As many bytes as the next byte says, or all that is left when it says the most.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let wanted = match self.byte() {
            u8::MAX => self.0.len(),
            length => usize::from(length).min(self.0.len()),
        };
        let (taken, rest) = self.0.split_at(wanted);
        self.0 = rest;
        taken
    }
}
