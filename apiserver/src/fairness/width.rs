//! How many seats a request takes: one, but for lists of many objects.

use super::gate::SEATS_MAX;
use crate::attributes::Attributes;
use crate::registry::Registry;

/// Objects of a list that are worth a seat.
const OBJECTS_PER_SEAT: usize = 100;

/// What a request says of how much it reads.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    /// The most objects; 0 for all.
    pub(crate) limit: usize,
    /// Of a watch: whether the objects that are there are told first.
    pub(crate) initial: bool,
}

impl Asked {
    /// What a query says.
    pub(crate) fn of_query(query: &[(String, String)]) -> Asked {
        let get = |key: &str| {
            let found = query.iter().find(|(name, _)| name == key);
            found.map_or("", |(_, value)| value.as_str())
        };
        Asked {
            limit: get("limit").parse().unwrap_or_default(),
            initial: get("sendInitialEvents") == "true"
                || matches!(get("resourceVersion"), "" | "0"),
        }
    }
}

/// The seats of a request.
pub(crate) fn seats(registry: &Registry, attributes: &Attributes, asked: Asked) -> usize {
    let reads_many = attributes.name.is_empty()
        && match attributes.verb.as_str() {
            "list" => true,
            "watch" => asked.initial,
            _ => false,
        };
    if !reads_many {
        return 1;
    }
    let table = registry.resources.table();
    let count = table
        .get(&attributes.group, &attributes.version, &attributes.resource)
        .and_then(|served| {
            // What is measured takes as long as there are objects to measure.
            if served.is_measured() {
                table.any_version("", &attributes.resource)
            } else {
                Some(served)
            }
        })
        .and_then(|served| registry.feed.cache(&served.resource.storage))
        .map_or(0, |cache| cache.count());
    let read = if asked.limit > 0 {
        count.min(asked.limit)
    } else {
        count
    };
    read.div_ceil(OBJECTS_PER_SEAT).clamp(1, SEATS_MAX)
}

#[cfg(test)]
mod tests {
    use super::Asked;

    #[test]
    fn a_watch_from_a_version_on_reads_nothing_that_is_there() {
        let asked = |query: &[(&str, &str)]| {
            let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            Asked::of_query(&query.iter().map(owned).collect::<Vec<_>>())
        };
        assert!(asked(&[]).initial);
        assert!(asked(&[("resourceVersion", "0")]).initial);
        assert!(!asked(&[("resourceVersion", "7")]).initial);
        assert!(asked(&[("resourceVersion", "7"), ("sendInitialEvents", "true")]).initial);
        assert_eq!(asked(&[("limit", "500")]).limit, 500);
        assert_eq!(asked(&[("limit", "-1")]).limit, 0);
    }
}
