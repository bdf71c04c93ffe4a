//! Who owns which fields of an object: `metadata.managedFields`, read, kept within bounds and written in upstream's order.

use std::collections::BTreeMap;

use super::golang::quoted;
use super::set::Set;
use crate::{Map, Value, meta};

/// The most managers that updated an object and are told apart. The oldest beyond that are taken together.
pub const UPDATE_MANAGERS_MAX: usize = 10;

/// The longest name of a manager, in bytes.
pub const NAME_LENGTH_MAX: usize = 128;

/// Who the oldest updates beyond the most are laid to.
const ANCIENT: &str = "ancient-changes";

/// How a manager came to own fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    Apply,
    Update,
}

/// Who owns fields. One name can be several managers: it may apply and update, and by several subresources.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Manager {
    pub name: String,
    pub operation: Operation,
    /// The version of its writes; empty for one who applies, who is the same in all versions.
    pub api_version: String,
    pub subresource: String,
}

/// What a manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    pub set: Set,
    /// The version that the set is written in.
    pub api_version: String,
    /// When the set last changed, as RFC 3339; empty for never said.
    pub time: String,
}

/// All managers of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Managers(pub BTreeMap<Manager, Owned>);

impl Manager {
    /// A manager who writes in this version, by this subresource.
    #[must_use]
    pub fn new(name: &str, operation: Operation, api_version: &str, subresource: &str) -> Manager {
        let api_version = match operation {
            Operation::Apply => "",
            Operation::Update => api_version,
        };
        Manager {
            name: if name.is_empty() { "unknown" } else { name }.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }
}

impl std::fmt::Display for Manager {
    /// The manager as conflicts name it: `"kubectl" with subresource "scale" using apps/v1`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&quoted(&self.name))?;
        if !self.subresource.is_empty() {
            write!(formatter, " with subresource {}", quoted(&self.subresource))?;
        }
        if self.operation == Operation::Update {
            write!(formatter, " using {}", self.api_version)?;
        }
        Ok(())
    }
}

impl Managers {
    /// The managers of an object.
    ///
    /// # Errors
    ///
    /// What is wrong with its `metadata.managedFields`.
    pub fn of(object: &Value) -> Result<Managers, String> {
        Managers::decode(meta::list(object, &["metadata", "managedFields"]))
    }

    /// Reads the entries of `metadata.managedFields`.
    ///
    /// # Errors
    ///
    /// What is wrong with an entry.
    pub fn decode(entries: &[Value]) -> Result<Managers, String> {
        let mut managers = Managers::default();
        for (index, entry) in entries.iter().enumerate() {
            let operation = match meta::text(entry, &["operation"]) {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return Err("operation must be `Apply` or `Update`".to_owned()),
            };
            let api_version = meta::text(entry, &["apiVersion"]);
            if api_version.is_empty() {
                return Err("apiVersion must not be empty".to_owned());
            }
            match meta::text(entry, &["fieldsType"]) {
                "FieldsV1" => {}
                "" => {
                    return Err(format!(
                        "missing fieldsType in managed fields entry {index}"
                    ));
                }
                other => {
                    return Err(format!(
                        "invalid fieldsType {} in managed fields entry {index}",
                        quoted(other)
                    ));
                }
            }
            let set = match entry.get("fieldsV1") {
                Some(fields) => {
                    Set::decode(fields).map_err(|fault| format!("error decoding set: {fault}"))?
                }
                None => Set::default(),
            };
            let manager = Manager {
                name: meta::text(entry, &["manager"]).to_owned(),
                ..Manager::new(
                    "-",
                    operation,
                    api_version,
                    meta::text(entry, &["subresource"]),
                )
            };
            let owned = Owned {
                set,
                api_version: api_version.to_owned(),
                time: meta::text(entry, &["time"]).to_owned(),
            };
            managers.0.insert(manager, owned);
        }
        Ok(managers)
    }

    /// The entries for `metadata.managedFields`, in upstream's order: who applied first, then by time and name.
    #[must_use]
    pub fn encode(&self) -> Vec<Value> {
        let mut entries: Vec<(&Manager, &Owned)> = self.0.iter().collect();
        entries.sort_by(|(left, left_owned), (right, right_owned)| {
            left.operation
                .cmp(&right.operation)
                .then_with(|| seconds(&left_owned.time).cmp(&seconds(&right_owned.time)))
                .then_with(|| left.name.cmp(&right.name))
                .then_with(|| left_owned.api_version.cmp(&right_owned.api_version))
                .then_with(|| left.subresource.cmp(&right.subresource))
        });
        entries
            .into_iter()
            .map(|(manager, owned)| entry(manager, owned))
            .collect()
    }

    /// Writes the entries into an object; without managers it has none.
    pub fn write(&self, object: &mut Value) {
        let entries = self.encode();
        let metadata = meta::metadata_mut(object);
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), Value::Array(entries));
        }
    }

    /// Takes the oldest updates of each version together, until there are no more than may be.
    pub(super) fn cap(&mut self) {
        let mut updates: Vec<(i64, Manager)> = self
            .0
            .iter()
            .filter(|(manager, _)| manager.operation == Operation::Update)
            .map(|(manager, owned)| (seconds(&owned.time), manager.clone()))
            .collect();
        let mut count = updates.len();
        if count <= UPDATE_MANAGERS_MAX {
            return;
        }
        updates.sort();
        let mut first_by_version: BTreeMap<String, Manager> = BTreeMap::new();
        for (_, manager) in updates {
            if count <= UPDATE_MANAGERS_MAX {
                break;
            }
            let Some(owned) = self.0.get(&manager).cloned() else {
                continue;
            };
            let Some(first) = first_by_version.get(&owned.api_version) else {
                first_by_version.insert(owned.api_version, manager);
                continue;
            };
            let bucket = Manager::new(ANCIENT, Operation::Update, &owned.api_version, "");
            let older = if self.0.contains_key(&bucket) {
                self.0.get(&bucket).map(|older| older.set.clone())
            } else {
                self.0.remove(first).map(|older| older.set)
            };
            let set = owned.set.union(&older.unwrap_or_default());
            self.0.remove(&manager);
            self.0.insert(bucket, Owned { set, ..owned });
            count -= 1;
        }
    }
}

fn entry(manager: &Manager, owned: &Owned) -> Value {
    let operation = match manager.operation {
        Operation::Apply => "Apply",
        Operation::Update => "Update",
    };
    let mut entry = Map::new();
    for (name, text) in [
        ("manager", manager.name.as_str()),
        ("operation", operation),
        ("apiVersion", &owned.api_version),
        ("time", &owned.time),
        ("subresource", &manager.subresource),
    ] {
        if !text.is_empty() {
            entry.insert(name.to_owned(), Value::from(text));
        }
    }
    entry.insert("fieldsType".to_owned(), Value::from("FieldsV1"));
    entry.insert("fieldsV1".to_owned(), owned.set.encode());
    Value::Object(entry)
}

/// The name of a manager who did not say one, from the client's user agent: what comes before the first slash.
#[must_use]
pub fn name_of_user_agent(user_agent: &str) -> String {
    let mut name = String::new();
    let before_slash = user_agent.split('/').next().unwrap_or_default();
    for letter in before_slash.chars().filter(|letter| is_printed(*letter)) {
        if name.len() + letter.len_utf8() > NAME_LENGTH_MAX {
            break;
        }
        name.push(letter);
    }
    name
}

/// As Go's `unicode.IsPrint`: of the white space only the blank.
fn is_printed(letter: char) -> bool {
    letter == ' ' || !(letter.is_control() || letter.is_whitespace())
}

/// The seconds of a time in RFC 3339 since 1970; 0 for a time that is none.
fn seconds(time: &str) -> i64 {
    seconds_of(time).unwrap_or_default()
}

fn seconds_of(time: &str) -> Option<i64> {
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let zone = time
        .get(19..)?
        .trim_start_matches(|letter: char| letter == '.' || letter.is_ascii_digit());
    let offset_minutes = match zone.split_at_checked(1)? {
        ("+", rest) => minutes(rest)?,
        ("-", rest) => -minutes(rest)?,
        _ => 0,
    };
    // Days since 1970 by the count of March-based years, in which the leap day is the last day.
    let years = if month <= 2 { year - 1 } else { year };
    let months = (month + 9) % 12;
    let days = years * 365 + years.div_euclid(4) - years.div_euclid(100)
        + years.div_euclid(400)
        + (months * 153 + 2) / 5
        + day
        - 719_469;
    Some(days * 86_400 + hour * 3_600 + (minute - offset_minutes) * 60 + second)
}

fn minutes(offset: &str) -> Option<i64> {
    let (hours, minutes) = offset.split_once(':')?;
    Some(hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?)
}
