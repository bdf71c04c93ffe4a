//! Damages to a history, each as a known kind of bug would leave it: what a checker must not let pass.
//!
//! A mutator finds a place where the bug could have shown, drawn from a seed, and changes the records there. It leaves the
//! rest of the history alone, so the rest may contradict it as well.

mod leases;
mod reads;
mod responses;
mod scene;
mod watches;
mod writes;

use crate::history::Record;
use crate::verdict::Check;

use scene::Scene;

/// A kind of bug, and how it is put into a history.
#[derive(Clone, Copy, Debug)]
pub struct Mutator {
    /// The bug's name.
    pub name: &'static str,
    /// What a server with the bug does.
    pub imitates: &'static str,
    /// The invariants one of which must be found broken.
    pub breaks: &'static [Check],
    plant: fn(&mut Scene<'_>) -> bool,
}

impl Mutator {
    /// Puts the bug into a history, at a place drawn from the seed. Says whether there was a place.
    #[must_use]
    pub fn apply(&self, records: &mut Vec<Record>, seed: u64) -> bool {
        (self.plant)(&mut Scene::new(records, seed))
    }

    /// The mutator of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        all().find(|mutator| mutator.name == name)
    }
}

/// All mutators.
pub fn all() -> impl Iterator<Item = &'static Mutator> {
    reads::ALL
        .iter()
        .chain(writes::ALL)
        .chain(watches::ALL)
        .chain(leases::ALL)
}

const fn bug(
    name: &'static str,
    imitates: &'static str,
    breaks: &'static [Check],
    plant: fn(&mut Scene<'_>) -> bool,
) -> Mutator {
    Mutator {
        name,
        imitates,
        breaks,
        plant,
    }
}
