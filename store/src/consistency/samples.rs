//! Digests at log indices that every member notes, and at the end of what is applied.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Digest;

/// Every member notes its digest behind each entry whose index is a multiple of this.
const ENTRIES_PER_SAMPLE: u64 = 64;
/// Samples kept, besides the newest: how far members may be apart and still be compared.
const KEPT: usize = 255;
/// Samples that a member has at most.
pub(crate) const SAMPLES_MAX: usize = KEPT + 1;

/// A digest and the log index up to which it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) index: u64,
    pub(crate) digest: Digest,
}

/// What one member has noted; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Samples(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    kept: VecDeque<Sample>,
    newest: Option<Sample>,
}

impl Samples {
    /// Whether the digest behind this entry is one that every member keeps: a run has to end there.
    pub(crate) fn are_kept_at(index: u64) -> bool {
        index.is_multiple_of(ENTRIES_PER_SAMPLE)
    }

    pub(crate) fn note(&self, index: u64, digest: Digest) {
        let sample = Sample { index, digest };
        let mut noted = self.0.lock();
        noted.newest = Some(sample);
        if Samples::are_kept_at(index) {
            // The first entry of a log has the index that stands for no entry.
            noted.kept.retain(|sample| sample.index != index);
            if noted.kept.len() == KEPT {
                noted.kept.pop_front();
            }
            noted.kept.push_back(sample);
        }
    }

    /// Forgets all: the state is another one now.
    pub(crate) fn restart(&self, index: u64, digest: Digest) {
        *self.0.lock() = Noted::default();
        self.note(index, digest);
    }

    /// In order of the log, those that can be compared.
    pub(crate) fn all(&self) -> Vec<Sample> {
        let noted = self.0.lock();
        let newest = noted
            .newest
            .filter(|newest| Some(newest) != noted.kept.back());
        let all = noted.kept.iter().copied().chain(newest);
        all.filter(|sample| sample.digest.is_known()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(samples: &Samples) -> Vec<u64> {
        samples.all().iter().map(|sample| sample.index).collect()
    }

    #[test]
    fn those_that_all_members_note_are_kept_and_the_newest() {
        let samples = Samples::default();
        samples.restart(10, Digest::default());
        for index in [64, 65, 128] {
            samples.note(index, Digest::default());
        }
        assert_eq!(indices(&samples), [64, 128]);
        samples.note(130, Digest::default());
        assert_eq!(indices(&samples), [64, 128, 130]);
        samples.restart(70, Digest::default());
        assert_eq!(indices(&samples), [70]);
    }

    #[test]
    fn there_is_one_for_an_index() {
        let samples = Samples::default();
        samples.restart(0, Digest::default());
        let digest = Digest { since: 0, value: 5 };
        samples.note(0, digest);
        assert_eq!(samples.all(), [Sample { index: 0, digest }]);
        samples.note(3, digest);
        assert_eq!(indices(&samples), [0, 3]);
    }

    #[test]
    fn the_oldest_make_room() {
        let samples = Samples::default();
        for number in 1..=1000 {
            samples.note(number * ENTRIES_PER_SAMPLE, Digest::default());
        }
        samples.note(1000 * ENTRIES_PER_SAMPLE + 1, Digest::default());
        assert_eq!(samples.all().len(), SAMPLES_MAX);
        assert_eq!(samples.all()[0].index, 746 * ENTRIES_PER_SAMPLE);
    }
}
