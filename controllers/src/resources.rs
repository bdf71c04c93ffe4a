//! What the apiserver serves, each resource once.

use std::collections::BTreeSet;

use client::{Client, Error, Resource, ServedResource};

/// The resources whose objects can be dealt with by these verbs, each in the version that its group prefers.
///
/// # Errors
///
/// If the server cannot be asked.
pub(crate) async fn with_verbs(
    client: &Client,
    verbs: &[&str],
) -> Result<Vec<ServedResource>, Error> {
    Ok(that_can(client.resources().await?, verbs))
}

/// The same of what is known to be served. The first version of a resource is the one that its group prefers.
pub(crate) fn that_can(all: Vec<ServedResource>, verbs: &[&str]) -> Vec<ServedResource> {
    let mut seen = BTreeSet::new();
    let mut first = all;
    first.retain(|served| {
        let Resource { group, plural, .. } = &served.resource;
        !plural.contains('/') && seen.insert((group.clone(), plural.clone()))
    });
    first.retain(|served| {
        let has = |verb: &&str| served.verbs.iter().any(|own| own == verb);
        verbs.iter().all(has)
    });
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_taken_once_and_only_if_it_can_do_what_is_wanted() {
        let served = |version: &str, plural: &str, verbs: &[&str]| ServedResource {
            resource: Resource {
                group: "a".to_owned(),
                version: version.to_owned(),
                plural: plural.to_owned(),
                namespaced: true,
            },
            kind: "A".to_owned(),
            verbs: verbs.iter().map(|&verb| verb.to_owned()).collect(),
        };
        let all = vec![
            served("v2", "as", &["list", "delete"]),
            served("v1", "as", &["list", "delete", "watch"]),
            served("v1", "as/status", &["list", "delete"]),
            served("v1", "bs", &["list"]),
        ];
        let found = that_can(all, &["delete", "list"]);
        let names = found.iter().map(|served| served.resource.version.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["v2"]);
    }
}
