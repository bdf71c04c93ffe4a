//! What the apiserver serves, each resource once.

use client::ServedResource;

/// The resources whose objects can be dealt with by these verbs, each in the version that its group prefers.
pub(crate) fn that_can(all: &[ServedResource], verbs: &[&str]) -> Vec<ServedResource> {
    let fits = |served: &&ServedResource| served.preferred && served.can(verbs);
    all.iter().filter(fits).cloned().collect()
}
