//! Which parts of a file were written since its last sync.

/// More pieces than this are not worth keeping apart.
const PIECES_MAX: usize = 4_096;

/// What a sync has to make durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dirty {
    /// Anything may differ: the file was changed before this process began, or in ways that were not seen.
    Anything,
    /// These bytes, each piece from its first to behind its last.
    Pieces(Vec<(u64, u64)>),
}

impl Dirty {
    pub(crate) const CLEAN: Dirty = Dirty::Pieces(Vec::new());

    /// Adds bytes that were written.
    pub(crate) fn add(&mut self, start: u64, end: u64) {
        let Dirty::Pieces(pieces) = self else {
            return;
        };
        if start >= end {
            return;
        }
        // Most writes go on where the one before ended.
        if let Some(last) = pieces.last_mut()
            && start <= last.1
            && end >= last.0
        {
            *last = (last.0.min(start), last.1.max(end));
            return;
        }
        if pieces.len() == PIECES_MAX {
            *self = Dirty::Anything;
        } else {
            pieces.push((start, end));
        }
    }

    /// Takes everything out; what remains is clean.
    pub(crate) fn take(&mut self) -> Dirty {
        std::mem::replace(self, Dirty::CLEAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_one_after_the_other_are_one_piece() {
        let mut dirty = Dirty::CLEAN;
        dirty.add(10, 20);
        dirty.add(20, 30);
        dirty.add(5, 12);
        assert_eq!(dirty, Dirty::Pieces(vec![(5, 30)]));
    }

    #[test]
    fn writes_apart_stay_apart() {
        let mut dirty = Dirty::CLEAN;
        dirty.add(10, 20);
        dirty.add(40, 50);
        dirty.add(0, 0);
        assert_eq!(dirty, Dirty::Pieces(vec![(10, 20), (40, 50)]));
    }

    #[test]
    fn too_many_pieces_become_anything() {
        let mut dirty = Dirty::CLEAN;
        for piece in 0..=PIECES_MAX as u64 {
            dirty.add(piece * 10, piece * 10 + 1);
        }
        assert_eq!(dirty, Dirty::Anything);
    }

    #[test]
    fn what_was_taken_is_clean() {
        let mut dirty = Dirty::Anything;
        assert_eq!(dirty.take(), Dirty::Anything);
        assert_eq!(dirty, Dirty::CLEAN);
    }
}
