//! Resources by number: names are interned, amounts are whole numbers.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use parking_lot::RwLock;

/// Most resource names that are told apart. Further ones share the last number, which no node has any of.
pub const RESOURCES_MAX: usize = 512;

/// Number of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId(pub u16);

impl ResourceId {
    /// `cpu`, in thousandths.
    pub const CPU: ResourceId = ResourceId(0);
    /// `memory`, in bytes.
    pub const MEMORY: ResourceId = ResourceId(1);
    /// `ephemeral-storage`, in bytes.
    pub const EPHEMERAL_STORAGE: ResourceId = ResourceId(2);

    /// Its place in columns.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The names behind the numbers. A clone shares them.
#[derive(Debug, Clone)]
pub struct ResourceNames(Arc<RwLock<Vec<Arc<str>>>>);

impl Default for ResourceNames {
    fn default() -> ResourceNames {
        let names = ["cpu", "memory", "ephemeral-storage"];
        ResourceNames(Arc::new(RwLock::new(names.map(Arc::from).into())))
    }
}

impl ResourceNames {
    /// The number of a name, a new one if the name was not seen before.
    #[must_use]
    pub fn id(&self, name: &str) -> ResourceId {
        let position = |names: &Vec<Arc<str>>| names.iter().position(|known| **known == *name);
        if let Some(at) = position(&self.0.read()) {
            return ResourceId(at as u16);
        }
        let mut names = self.0.write();
        let at = position(&names).unwrap_or_else(|| {
            if names.len() + 1 < RESOURCES_MAX {
                names.push(name.into());
            } else if names.len() < RESOURCES_MAX {
                names.push("a resource beyond those that are told apart".into());
            }
            names.len() - 1
        });
        ResourceId(at as u16)
    }

    /// The name of a number.
    #[must_use]
    pub fn name(&self, id: ResourceId) -> Arc<str> {
        self.0
            .read()
            .get(id.index())
            .cloned()
            .unwrap_or_else(|| "".into())
    }

    /// Whether a number stands for a name that is told apart from all others.
    #[must_use]
    pub fn is_known(&self, id: ResourceId) -> bool {
        id.index() + 1 < RESOURCES_MAX
    }
}

/// Amounts of some resources, in order of their numbers, without zeros.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Amounts(Vec<(ResourceId, i64)>);

impl Amounts {
    /// The amount of one; 0 where there is none.
    #[must_use]
    pub fn get(&self, id: ResourceId) -> i64 {
        self.0
            .binary_search_by_key(&id, |(id, _)| *id)
            .map_or(0, |at| self.0[at].1)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (ResourceId, i64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether all are zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets one.
    pub fn set(&mut self, id: ResourceId, amount: i64) {
        match self.0.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) if amount == 0 => drop(self.0.remove(at)),
            Ok(at) => self.0[at].1 = amount,
            Err(_) if amount == 0 => {}
            Err(at) => self.0.insert(at, (id, amount)),
        }
    }

    /// Adds others, each up to the largest number there is.
    pub fn add(&mut self, other: &Amounts) {
        for (id, amount) in other.iter() {
            self.set(id, self.get(id).saturating_add(amount));
        }
    }

    /// Raises each to that of others where theirs is larger.
    pub fn raise(&mut self, other: &Amounts) {
        for (id, amount) in other.iter() {
            self.set(id, self.get(id).max(amount));
        }
    }

    /// What the API's lists of quantities say. An amount that cannot be read is 0: the apiserver lets none through.
    #[must_use]
    pub fn of(list: Option<&BTreeMap<String, Quantity>>, names: &ResourceNames) -> Amounts {
        let mut amounts = Amounts::default();
        for (name, quantity) in list.into_iter().flatten() {
            let id = names.id(name);
            amounts.set(id, amount(id, quantity));
        }
        amounts
    }
}

/// A quantity in the unit of its resource.
fn amount(id: ResourceId, quantity: &Quantity) -> i64 {
    let text = quantity.0.as_str();
    let plain = text.parse::<i64>().ok();
    if let Some(whole) = plain {
        return if id == ResourceId::CPU {
            whole.saturating_mul(1000)
        } else {
            whole
        };
    }
    objects::quantity::Quantity::parse(text).map_or(0, |parsed| {
        if id == ResourceId::CPU {
            parsed.milli_value()
        } else {
            parsed.value()
        }
    })
}
