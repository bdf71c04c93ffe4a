//! What really happened, put together from what all watchers saw, and whether each of them saw all of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Promise};
use crate::kubernetes::history::{Change, KINDS, Key, Kind, Object, Saw, Sight};

/// One change of an object. Of one that is gone, the object as the event showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) change: Change,
    pub(super) object: Object,
}

/// The changes of all objects.
#[derive(Debug, Default)]
pub(super) struct Truth {
    changes: BTreeMap<Key, BTreeMap<u64, Version>>,
}

/// What one watcher saw without a list in between: everything behind `from` and up to `to`.
struct Stretch {
    watcher: u32,
    kind: Kind,
    from: u64,
    to: u64,
    seen: BTreeSet<u64>,
}

impl Truth {
    pub(super) fn of(sights: &[&Sight], findings: &mut Findings) -> Truth {
        let mut truth = Truth::default();
        truth.begin(sights);
        let mut watchers: BTreeMap<u32, Vec<&Sight>> = BTreeMap::new();
        for sight in sights {
            watchers.entry(sight.watcher).or_default().push(sight);
        }
        let mut stretches = Vec::new();
        for sights in watchers.values() {
            truth.walk(sights, &mut stretches, findings);
        }
        for kind in KINDS {
            truth.look_at_cover(kind, &stretches, findings);
        }
        truth.look_for_missing(&stretches, findings);
        truth.look_at_lists(sights, findings);
        truth.look_at_chains(findings);
        truth
    }

    /// What was there before anybody watched.
    fn begin(&mut self, sights: &[&Sight]) {
        for kind in KINDS {
            let begun = sights.iter().filter(|sight| sight.kind == kind);
            let lists = begun.filter_map(|sight| match &sight.saw {
                Saw::Began { revision, items } => Some((revision, items)),
                _ => None,
            });
            let Some((_, items)) = lists.min_by_key(|(revision, _)| **revision) else {
                continue;
            };
            for object in items {
                let first = Version {
                    change: Change::Added,
                    object: object.clone(),
                };
                let key = key(kind, object);
                let changes = self.changes.entry(key).or_default();
                changes.insert(object.version, first);
            }
        }
    }

    /// Follows one watcher.
    fn walk(&mut self, sights: &[&Sight], stretches: &mut Vec<Stretch>, findings: &mut Findings) {
        let mut stretch: Option<Stretch> = None;
        for sight in sights {
            match (&sight.saw, &mut stretch) {
                (Saw::Began { revision, .. }, open) => {
                    stretches.extend(open.take());
                    *open = Some(Stretch {
                        watcher: sight.watcher,
                        kind: sight.kind,
                        from: *revision,
                        to: *revision,
                        seen: BTreeSet::new(),
                    });
                }
                (Saw::Event { change, object }, Some(open)) => {
                    let (at, before) = (object.version, open.to);
                    findings.check(Promise::Ordered, at > before, || {
                        format!(
                            "watcher {} saw {} of {} at {at} after {before}",
                            sight.watcher,
                            word(*change),
                            object.name
                        )
                    });
                    open.to = before.max(at);
                    open.seen.insert(at);
                    self.add(sight, *change, object, findings);
                }
                (Saw::Bookmark { revision }, Some(open)) => {
                    let before = open.to;
                    findings.check(Promise::Ordered, *revision >= before, || {
                        format!(
                            "watcher {} saw a bookmark at {revision} after {before}",
                            sight.watcher
                        )
                    });
                    open.to = before.max(*revision);
                }
                (Saw::Unreadable { line }, _) => {
                    findings.check(Promise::Complete, false, || {
                        format!("watcher {} could not read {line}", sight.watcher)
                    });
                }
                (_, None) => {
                    let words = format!("watcher {} saw something before its list", sight.watcher);
                    findings.doubts.push(words);
                }
            }
        }
        stretches.extend(stretch);
    }

    /// What one watcher was told has to be what others were told.
    fn add(&mut self, sight: &Sight, change: Change, object: &Object, findings: &mut Findings) {
        let new = Version {
            change,
            object: object.clone(),
        };
        let changes = self.changes.entry(key(sight.kind, object)).or_default();
        let known = changes.entry(object.version).or_insert_with(|| new.clone());
        let same = *known == new;
        findings.check(Promise::Complete, same, || {
            format!(
                "watcher {} was told of {} at {} otherwise than others: {new:?} and {known:?}",
                sight.watcher, object.name, object.version
            )
        });
    }

    /// Every revision of a kind between the first list and the last event was watched by somebody.
    fn look_at_cover(&self, kind: Kind, stretches: &[Stretch], findings: &mut Findings) {
        let mut spans: Vec<(u64, u64)> = stretches
            .iter()
            .filter(|stretch| stretch.kind == kind)
            .map(|stretch| (stretch.from, stretch.to))
            .collect();
        spans.sort_unstable();
        let Some((_, mut reached)) = spans.first().copied() else {
            return;
        };
        for (from, to) in spans {
            if from > reached {
                findings.doubts.push(format!(
                    "nobody watched {kind:?}s between {reached} and {from}"
                ));
            }
            reached = reached.max(to);
        }
    }

    fn look_for_missing(&self, stretches: &[Stretch], findings: &mut Findings) {
        for kind in KINDS {
            let all: BTreeMap<u64, &Key> = self
                .changes
                .iter()
                .filter(|(key, _)| key.kind == kind)
                .flat_map(|(key, changes)| changes.keys().map(move |at| (*at, key)))
                .collect();
            for stretch in stretches.iter().filter(|one| one.kind == kind) {
                let behind = all.range(stretch.from + 1..);
                for (at, key) in behind.take_while(|(at, _)| **at <= stretch.to) {
                    findings.check(Promise::Complete, stretch.seen.contains(at), || {
                        format!(
                            "watcher {} was never told what happened to {key} at {at}, and was told of {}",
                            stretch.watcher, stretch.to
                        )
                    });
                }
            }
        }
    }

    /// The lists that watchers begin with.
    fn look_at_lists(&self, sights: &[&Sight], findings: &mut Findings) {
        for sight in sights {
            if let Saw::Began { revision, items } = &sight.saw {
                self.look_at_list(sight.kind, *revision, items, findings);
            }
        }
    }

    pub(super) fn look_at_list(
        &self,
        kind: Kind,
        revision: u64,
        items: &[Object],
        findings: &mut Findings,
    ) {
        let found: BTreeMap<&str, &Object> = items
            .iter()
            .map(|item| (item.name.as_str(), item))
            .collect();
        let expected: BTreeMap<&str, &Object> = self
            .changes
            .keys()
            .filter(|key| key.kind == kind)
            .filter_map(|key| Some((key.name.as_str(), self.at(key, revision)?)))
            .collect();
        findings.check(
            Promise::Snapshot,
            found == expected && found.len() == items.len(),
            || {
                let differs = expected
                    .keys()
                    .chain(found.keys())
                    .find(|name| expected.get(*name) != found.get(*name));
                let name = differs.copied().unwrap_or("one that is there twice");
                format!(
                    "a list of {kind:?}s at {revision} differs in {name}: it has {:?}, and there was {:?}",
                    found.get(name),
                    expected.get(name)
                )
            },
        );
    }

    fn look_at_chains(&self, findings: &mut Findings) {
        for (key, changes) in &self.changes {
            let mut before: Option<&Object> = None;
            for (at, version) in changes {
                let object = &version.object;
                let follows = match (version.change, before) {
                    (Change::Added, None) => true,
                    (Change::Modified, Some(before)) => before.uid == object.uid,
                    (Change::Deleted, Some(before)) => {
                        (&before.uid, &before.value, &before.patch)
                            == (&object.uid, &object.value, &object.patch)
                    }
                    _ => false,
                };
                findings.check(Promise::Chain, follows, || {
                    format!(
                        "{key} is {} at {at} as {object:?}, and was {before:?}",
                        word(version.change)
                    )
                });
                before = (version.change != Change::Deleted).then_some(object);
            }
        }
    }

    /// The newest revision of all.
    pub(super) fn revision(&self) -> u64 {
        let newest = self.changes.values().filter_map(|all| all.keys().last());
        newest.max().copied().unwrap_or(0)
    }

    /// An object as it was at a revision.
    pub(super) fn at(&self, key: &Key, revision: u64) -> Option<&Object> {
        let (_, last) = self.changes.get(key)?.range(..=revision).next_back()?;
        (last.change != Change::Deleted).then_some(&last.object)
    }

    /// The change of an object at a revision.
    pub(super) fn change(&self, key: &Key, revision: u64) -> Option<&Version> {
        self.changes.get(key)?.get(&revision)
    }

    /// The first change of an object behind a revision.
    pub(super) fn next(&self, key: &Key, revision: u64) -> Option<u64> {
        let changes = self.changes.get(key)?;
        changes.range(revision + 1..).next().map(|(at, _)| *at)
    }

    /// When the object of a uid was deleted.
    pub(super) fn deletion(&self, key: &Key, uid: &str) -> Option<u64> {
        let mut changes = self.changes.get(key)?.iter();
        changes
            .find(|(_, version)| version.change == Change::Deleted && version.object.uid == uid)
            .map(|(at, _)| *at)
    }

    /// Whether an object was deleted behind one revision and before another.
    pub(super) fn is_deleted_between(&self, key: &Key, behind: u64, before: u64) -> bool {
        self.changes.get(key).is_some_and(|changes| {
            let later = changes.range(behind + 1..);
            later
                .take_while(|(at, _)| **at < before)
                .any(|(_, version)| version.change == Change::Deleted)
        })
    }

    /// Every change, with the object that was there before.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Key, u64, &Version, Option<&Object>)> {
        self.changes.iter().flat_map(move |(key, changes)| {
            changes
                .iter()
                .map(move |(at, version)| (key, *at, version, self.at(key, at - 1)))
        })
    }
}

fn key(kind: Kind, object: &Object) -> Key {
    Key {
        kind,
        name: object.name.clone(),
    }
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Modified => "modified",
        Change::Deleted => "deleted",
    }
}
