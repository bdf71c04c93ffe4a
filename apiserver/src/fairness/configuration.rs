//! Priority levels and flow schemas as the objects of the cluster say, with those in place that must always be there.

use std::collections::BTreeMap;
use std::sync::Arc;

use objects::{Value, meta};

use super::bootstrap;
use super::matching::Schema;
use super::queues::Shape;
use super::shares::Shares;

/// The level of what no other schema wants.
pub(super) const CATCH_ALL: &str = "catch-all";

/// What an object says of its level.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Declared {
    pub(super) uid: Arc<str>,
    pub(super) shape: Shape,
    pub(super) shares: Shares,
}

/// All levels and schemas at one moment.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) levels: BTreeMap<Arc<str>, Declared>,
    /// In the order in which they are tried.
    pub(super) schemas: Vec<Arc<Schema>>,
}

impl Configuration {
    /// What the server begins with, before it has read anything.
    pub(super) fn initial() -> Configuration {
        let levels: Vec<Value> = bootstrap::levels().map(|one| one.object).collect();
        let schemas: Vec<Value> = bootstrap::schemas().map(|one| one.object).collect();
        Configuration::read(levels.iter(), schemas.iter())
    }

    /// What the objects of the cluster say.
    pub(super) fn read<'a>(
        levels: impl Iterator<Item = &'a Value>,
        schemas: impl Iterator<Item = &'a Value>,
    ) -> Configuration {
        let mut configured: BTreeMap<Arc<str>, Declared> = levels
            .map(|object| (meta::name(object).into(), declared(object)))
            .collect();
        for one in bootstrap::levels().filter(|one| one.mandatory) {
            configured
                .entry(meta::name(&one.object).into())
                .or_insert_with(|| declared(&one.object));
        }
        let mut schemas: Vec<Schema> = schemas.map(Schema::read).collect();
        for one in bootstrap::schemas().filter(|one| one.mandatory) {
            if !schemas
                .iter()
                .any(|schema| *schema.name == *meta::name(&one.object))
            {
                schemas.push(Schema::read(&one.object));
            }
        }
        schemas.retain(|schema| configured.contains_key(&schema.level));
        schemas.sort_by_key(Schema::order);
        Configuration {
            levels: configured,
            schemas: schemas.into_iter().map(Arc::new).collect(),
        }
    }
}

fn declared(object: &Value) -> Declared {
    let spec = &object["spec"];
    let exempt = meta::text(spec, &["type"]) == "Exempt";
    let part = if exempt {
        &spec["exempt"]
    } else {
        &spec["limited"]
    };
    let number = |field: &str| part[field].as_f64();
    let response = &part["limitResponse"];
    let queuing = |field: &str, otherwise: usize| {
        let number = response["queuing"][field].as_u64();
        number
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or(otherwise)
    };
    let shape = if exempt {
        Shape::Exempt
    } else if meta::text(response, &["type"]) == "Queue" {
        Shape::Queues {
            count: queuing("queues", 64),
            hand: queuing("handSize", 8),
            length_max: queuing("queueLengthLimit", 50),
        }
    } else {
        Shape::Reject
    };
    Declared {
        uid: meta::uid(object).into(),
        shape,
        shares: Shares {
            nominal: number("nominalConcurrencyShares").unwrap_or(if exempt { 0.0 } else { 30.0 }),
            lendable_percent: number("lendablePercent").unwrap_or_default(),
            borrowing_percent: number("borrowingLimitPercent"),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{CATCH_ALL, Configuration};

    #[test]
    fn what_must_be_there_is_there_and_what_leads_nowhere_is_not() {
        let lost = json!({"metadata": {"name": "lost"}, "spec": {"priorityLevelConfiguration": {"name": "gone"}}});
        let read = Configuration::read(std::iter::empty(), std::iter::once(&lost));
        let levels: Vec<&str> = read.levels.keys().map(|name| &**name).collect();
        assert_eq!(levels, [CATCH_ALL, "exempt"]);
        let schemas: Vec<&str> = read.schemas.iter().map(|one| &*one.name).collect();
        assert_eq!(schemas, ["exempt", "catch-all"]);
    }
}
