//! Ranges and compares as etcd answers them, over any source of keys and values.

mod path;

use std::cmp::Reverse;

use bytes::Bytes;
use planted::Bug;

use crate::command::{Compare, CompareResult, KeyRange, Operand, Range, SortOrder, SortTarget};
use crate::index::Index;
use crate::key_value::Fields;
use crate::machine::Fatal;
use crate::outcome::{EncodedKeyValue, RangeResponse, Revision};
use crate::values::Values;
pub(crate) use path::{Path, Step, path, read_txn};

/// Where reads find keys and values.
pub(crate) trait Source {
    type Error: From<Fatal>;
    /// Keys of a query as a read at store revision `at` sees them.
    fn collect(&self, query: &Query<'_>, at: i64) -> Result<Collected, Self::Error>;
    /// Values at the places of items without one.
    fn fill(&self, items: &mut [Item]) -> Result<(), Self::Error>;
}

/// The part of a range that is answered while walking the index.
pub(crate) struct Query<'a> {
    pub(crate) keys: &'a KeyRange,
    /// Items to collect; keys are counted beyond unless the query ends there.
    items_max: usize,
    ends_when_full: bool,
    wants: Wants,
}

/// What the count of an answer is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// Every key of the range.
    Range,
    /// The keys up to the first one beyond the limit: the rest is not looked at. The same as [`Count::Range`] for a
    /// range whose limit cannot end the walk: without one, sorted, filtered or only counted.
    Page,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wants {
    Fields,
    Values,
    /// Key-values without their value.
    Keys,
}

/// One key of a read.
pub(crate) struct Item {
    pub(crate) at: Revision,
    /// None while only the row on disk knows.
    fields: Option<ItemFields>,
    pub(crate) kv: Option<Bytes>,
}

#[derive(Clone, Copy, Default)]
struct ItemFields {
    create_revision: i64,
    version: i64,
    lease: i64,
}

#[derive(Default)]
pub(crate) struct Collected {
    items: Vec<Item>,
    count: i64,
}

/// Walks up to `keys_max` keys. Gives the key to go on from, or none at the end of the range.
pub(crate) fn collect(
    (index, values): (&Index, &Values),
    query: &Query<'_>,
    at: i64,
    (resume, keys_max): (Option<&[u8]>, usize),
    out: &mut Collected,
) -> Option<Box<[u8]>> {
    for (walked, (key, meta)) in index.range(query.keys, resume).enumerate() {
        if query.ends_when_full && out.items.len() == query.items_max {
            return None;
        }
        if let Some(visible) = meta.visible_at(at) {
            out.count += 1;
            if out.items.len() < query.items_max {
                let newest = visible == meta.newest();
                let fields = newest.then(|| ItemFields {
                    create_revision: meta.create_revision(),
                    version: meta.version(),
                    lease: meta.lease(),
                });
                let kv = match query.wants {
                    Wants::Values if newest => values.get(meta.slot(), visible).cloned(),
                    Wants::Keys => fields.map(|fields| fields.encode(key, visible)),
                    _ => None,
                };
                out.items.push(Item {
                    at: visible,
                    fields,
                    kv,
                });
            }
        }
        if walked + 1 == keys_max {
            return Some(Box::from(key));
        }
    }
    None
}

impl ItemFields {
    fn encode(&self, key: &[u8], at: Revision) -> Bytes {
        Fields {
            key,
            create_revision: self.create_revision,
            mod_revision: at.main,
            version: self.version,
            value: &[],
            lease: self.lease,
        }
        .encode()
    }
}

fn decode(kv: &Bytes) -> Result<Fields<'_>, Fatal> {
    Fields::decode(kv).map_err(|error| Fatal::Damaged(format!("a key-value: {error}")))
}

impl Item {
    fn value(&self) -> Result<&[u8], Fatal> {
        decode(self.kv.as_ref().expect("filled before")).map(|fields| fields.value)
    }

    /// Its fields, when known from the index or from the filled value.
    fn fields(&self) -> Result<ItemFields, Fatal> {
        if let Some(fields) = self.fields {
            return Ok(fields);
        }
        let Fields {
            create_revision,
            version,
            lease,
            ..
        } = decode(self.kv.as_ref().expect("filled before"))?;
        Ok(ItemFields {
            create_revision,
            version,
            lease,
        })
    }
}

/// Fills the items whose fields only the disk knows.
fn learn_fields<S: Source>(source: &S, items: &mut [Item]) -> Result<(), S::Error> {
    if items.iter().any(|item| item.fields.is_none()) {
        source.fill(items)?;
    }
    for item in items {
        item.fields = Some(item.fields()?);
    }
    Ok(())
}

/// Answers a range at store revision `at`, which is neither compacted nor in the future.
pub(crate) fn range<S: Source>(
    source: &S,
    range: &Range,
    at: i64,
    count: Count,
) -> Result<RangeResponse, S::Error> {
    let mut query = Query {
        keys: &range.keys,
        items_max: usize::MAX,
        ends_when_full: false,
        wants: Wants::Values,
    };
    if range.count_only {
        query.items_max = 0;
        let count = source.collect(&query, at)?.count;
        return Ok(RangeResponse {
            count,
            ..RangeResponse::default()
        });
    }
    let sort = sort_of(range);
    let limit = usize::try_from(range.limit).ok().filter(|&limit| limit > 0);
    let filtered = range.min_mod_revision != 0
        || range.max_mod_revision != 0
        || range.min_create_revision != 0
        || range.max_create_revision != 0;
    if let (SortOrder::None, false, Some(limit)) = (range.sort_order, filtered, limit) {
        // One more tells whether there is more. etcd sorts that one with the rest.
        query.items_max = limit.saturating_add(1);
        query.ends_when_full = count == Count::Page || planted::is_on(Bug::CountOfPage);
    }
    let sorts_values = matches!(sort, Some((SortTarget::Value, _)));
    if range.keys_only && !sorts_values {
        query.wants = Wants::Keys;
    }
    let Collected { mut items, count } = source.collect(&query, at)?;
    if filtered {
        filter(source, range, &mut items)?;
    }
    if let Some((target, descend)) = sort {
        sort_items(source, &mut items, target, descend)?;
    }
    let found = items.len() + usize::from(planted::is_on(Bug::MoreOffByOne));
    let more = limit.is_some_and(|limit| found > limit);
    items.truncate(limit.unwrap_or(usize::MAX));
    if items.iter().any(|item| item.kv.is_none()) {
        source.fill(&mut items)?;
    }
    let kvs = items
        .into_iter()
        .map(|item| answer(item, range.keys_only))
        .collect::<Result<_, _>>()?;
    Ok(RangeResponse { kvs, more, count })
}

fn answer(item: Item, keys_only: bool) -> Result<EncodedKeyValue, Fatal> {
    let kv = item.kv.expect("filled before");
    if !keys_only {
        return Ok(EncodedKeyValue(kv));
    }
    let fields = decode(&kv)?;
    if fields.value.is_empty() {
        return Ok(EncodedKeyValue(kv.clone()));
    }
    Ok(EncodedKeyValue(
        Fields {
            value: &[],
            ..fields
        }
        .encode(),
    ))
}

/// What to sort by and whether downwards; none when the order of keys is right already.
fn sort_of(range: &Range) -> Option<(SortTarget, bool)> {
    match (range.sort_order, range.sort_target) {
        (SortOrder::None | SortOrder::Ascend, SortTarget::Key) => None,
        (order, target) => Some((target, order == SortOrder::Descend)),
    }
}

fn filter<S: Source>(source: &S, range: &Range, items: &mut Vec<Item>) -> Result<(), S::Error> {
    let within = |number: i64, min: i64, max: i64| {
        (min == 0 || number >= min) && (max == 0 || number <= max)
    };
    items.retain(|item| within(item.at.main, range.min_mod_revision, range.max_mod_revision));
    if range.min_create_revision != 0 || range.max_create_revision != 0 {
        learn_fields(source, items)?;
        items.retain(|item| {
            let create_revision = item.fields.expect("learned").create_revision;
            within(
                create_revision,
                range.min_create_revision,
                range.max_create_revision,
            )
        });
    }
    Ok(())
}

/// Items with equal targets stay in the order of their keys.
fn sort_items<S: Source>(
    source: &S,
    items: &mut [Item],
    target: SortTarget,
    descend: bool,
) -> Result<(), S::Error> {
    match target {
        SortTarget::Key => {
            if descend {
                items.reverse();
            }
        }
        SortTarget::Mod => sort_by_number(items, descend, |item| item.at.main),
        SortTarget::Create => {
            learn_fields(source, items)?;
            sort_by_number(items, descend, |item| {
                item.fields.expect("learned").create_revision
            });
        }
        SortTarget::Version => {
            learn_fields(source, items)?;
            sort_by_number(items, descend, |item| item.fields.expect("learned").version);
        }
        SortTarget::Value => {
            source.fill(items)?;
            for item in items.iter() {
                item.value()?;
            }
            let value = |item: &Item| item.value().expect("decoded above").to_vec();
            if descend {
                items.sort_by_cached_key(|item| Reverse(value(item)));
            } else {
                items.sort_by_cached_key(value);
            }
        }
    }
    Ok(())
}

fn sort_by_number(items: &mut [Item], descend: bool, number: impl Fn(&Item) -> i64) {
    if descend {
        items.sort_by_key(|item| Reverse(number(item)));
    } else {
        items.sort_by_key(number);
    }
}

/// Whether a condition holds at store revision `at` for every key of its range.
pub(crate) fn compare<S: Source>(source: &S, compare: &Compare, at: i64) -> Result<bool, S::Error> {
    let by_value = matches!(compare.operand, Operand::Value(_));
    let wants = if by_value {
        Wants::Values
    } else {
        Wants::Fields
    };
    let query = Query {
        keys: &compare.keys,
        items_max: usize::MAX,
        ends_when_full: false,
        wants,
    };
    let mut items = source.collect(&query, at)?.items;
    if items.is_empty() {
        // A missing key compares as zeros, but has no value to compare.
        return Ok(!by_value && holds(compare, ItemFields::default(), 0, &[]));
    }
    if by_value {
        source.fill(&mut items)?;
    } else {
        learn_fields(source, &mut items)?;
    }
    for item in &items {
        let value = if by_value { item.value()? } else { &[] };
        if !holds(
            compare,
            item.fields.unwrap_or_default(),
            item.at.main,
            value,
        ) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn holds(compare: &Compare, fields: ItemFields, mod_revision: i64, value: &[u8]) -> bool {
    let ordering = match &compare.operand {
        Operand::Version(number) => fields.version.cmp(number),
        Operand::CreateRevision(number) => fields.create_revision.cmp(number),
        Operand::ModRevision(number) => mod_revision.cmp(number),
        Operand::Lease(number) => fields.lease.cmp(number),
        Operand::Value(bytes) => value.cmp(bytes),
    };
    match compare.result {
        CompareResult::Equal => ordering.is_eq(),
        CompareResult::NotEqual => ordering.is_ne(),
        CompareResult::Greater => ordering.is_gt(),
        CompareResult::Less => ordering.is_lt(),
    }
}
