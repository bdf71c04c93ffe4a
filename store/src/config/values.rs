//! From arguments and environment to one checked value per flag.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ConfigError;
use super::gates;
use super::go::{self, Arity, SyntaxError};
use super::rate_limits;
use super::table::{self, EXPERIMENTAL_PREFIX, Flag, Kind, Role};
use super::url::Url;

/// Variables that etcd or its test suites set beside the flags.
const KNOWN_VARIABLES: [&str; 2] = ["ETCD_UNSUPPORTED_ARCH", "ETCD_VERIFY"];

/// Names a configuration file.
const FILE_VARIABLE: &str = "ETCD_CONFIG_FILE";

/// The values given by the operator; a flag not given has its default.
#[derive(Debug, Default)]
pub(super) struct Values {
    given: BTreeMap<&'static str, String>,
    /// Given under the old name.
    given_old: BTreeMap<&'static str, String>,
    is_from_file: bool,
    /// Worth a warning in the log.
    pub(super) warnings: Vec<String>,
    /// Flags that were taken and change nothing.
    pub(super) remarks: Vec<String>,
}

/// What a command line asks for before any value is looked at.
#[derive(Debug)]
pub(super) enum Read {
    Values(Values),
    /// The file has everything.
    File(String),
    Help,
    Version,
}

impl Values {
    /// Reads the command line, then the environment. What both set is an error, as with etcd.
    pub(super) fn read(
        arguments: impl IntoIterator<Item = String>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Read, ConfigError> {
        let arity = |name: &str| {
            table::find(name).map(|flag| match flag.kind {
                Kind::Bool => Arity::Bool,
                _ => Arity::Value,
            })
        };
        let split = match go::split(arguments, arity) {
            Ok(split) => split,
            Err(SyntaxError::Help) => return Ok(Read::Help),
            Err(error) => return Err(ConfigError::Usage(error.to_string())),
        };
        if let Some(stray) = split.stray {
            return Err(ConfigError::Invalid(format!(
                "{stray:?} is not a valid flag"
            )));
        }
        let last = |flag: &str| {
            let given = split.flags.iter().rev().find(|(name, _)| name == flag);
            given.map(|(_, value)| value.clone())
        };
        if last("version").is_some_and(|value| go::parse_bool(&value) == Some(true)) {
            return Ok(Read::Version);
        }
        let mut environment = environment.into_iter().collect::<Vec<_>>();
        let variable = environment.iter().position(|(key, _)| key == FILE_VARIABLE);
        let variable = variable.map(|index| environment.swap_remove(index).1);
        let file = last("config-file")
            .filter(|path| !path.is_empty())
            .or(variable);
        if let Some(path) = file.filter(|path| !path.is_empty()) {
            return Ok(Read::File(path));
        }
        let mut values = Values::default();
        let mut on_line = BTreeSet::new();
        for (name, value) in split.flags {
            values
                .set(&name, value)
                .map_err(|error| error.for_flag(&name))?;
            on_line.insert(name);
        }
        values.read_environment(environment, &on_line)?;
        Ok(Read::Values(values))
    }

    fn read_environment(
        &mut self,
        environment: impl IntoIterator<Item = (String, String)>,
        on_line: &BTreeSet<String>,
    ) -> Result<(), ConfigError> {
        let mut variables: BTreeMap<String, String> = environment
            .into_iter()
            .filter(|(key, _)| key.starts_with("ETCD_"))
            .collect();
        for name in table::names() {
            let key = format!("ETCD_{}", name.to_ascii_uppercase().replace('-', "_"));
            let Some(value) = variables.remove(&key) else {
                continue;
            };
            if on_line.contains(&name) {
                return Err(ConfigError::Invalid(format!(
                    "conflicting environment variable {key:?} is shadowed by corresponding \
                     command-line flag (either unset environment variable or disable flag)"
                )));
            }
            if !value.is_empty() {
                self.set(&name, value)
                    .map_err(|error| error.for_variable(&key))?;
            }
        }
        let unknown = variables
            .into_keys()
            .filter(|key| !KNOWN_VARIABLES.contains(&key.as_str()));
        self.warnings
            .extend(unknown.map(|key| format!("unrecognized environment variable {key}")));
        Ok(())
    }

    /// The last value of a flag counts.
    pub(super) fn set(&mut self, name: &str, value: String) -> Result<(), BadValue> {
        let flag = table::find(name).expect("the caller took the name from the table");
        if let Err(reason) = check(flag.kind, &value) {
            return Err(BadValue {
                value,
                reason,
                is_bool: flag.kind == Kind::Bool,
            });
        }
        match flag.role {
            Role::Refused(why) if !is_default(flag, &value) => {
                return Err(BadValue {
                    value,
                    reason: why.to_owned(),
                    is_bool: false,
                });
            }
            Role::Ignored(why) => self.remarks.push(format!("--{name} has no effect: {why}")),
            Role::Used | Role::Refused(_) => {}
        }
        let old = name.starts_with(EXPERIMENTAL_PREFIX);
        let given = if old {
            &mut self.given_old
        } else {
            &mut self.given
        };
        match given.get_mut(flag.name) {
            Some(before) if flag.kind == Kind::RateLimits => {
                before.push(';');
                before.push_str(&value);
            }
            _ => {
                given.insert(flag.name, value);
            }
        }
        Ok(())
    }

    /// Without values yet, for those of a file.
    pub(super) fn from_file() -> Values {
        Values {
            is_from_file: true,
            ..Values::default()
        }
    }

    /// Whether a file has said everything.
    pub(super) fn is_from_file(&self) -> bool {
        self.is_from_file
    }

    /// Refuses what was given under both names, and gates that contradict.
    pub(super) fn check_names(&self) -> Result<(), String> {
        if let Some(name) = self
            .given_old
            .keys()
            .find(|name| self.given.contains_key(*name))
        {
            return Err(format!(
                "cannot set --{EXPERIMENTAL_PREFIX}{name} and --{name} at the same time, please use --{name} only"
            ));
        }
        gates::check(self.text("feature-gates"), |flag| {
            self.given_old
                .get(flag)
                .and_then(|value| go::parse_bool(value))
        })
    }

    /// Whether the operator gave the flag.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name) || self.given_old.contains_key(name)
    }

    pub(super) fn text(&self, name: &str) -> &str {
        match self.given.get(name).or_else(|| self.given_old.get(name)) {
            Some(value) => value,
            None => flag(name).default,
        }
    }

    pub(super) fn bool(&self, name: &str) -> bool {
        go::parse_bool(self.text(name)).expect("checked when set")
    }

    pub(super) fn unsigned(&self, name: &str) -> u64 {
        go::parse_unsigned(self.text(name)).expect("checked when set")
    }

    pub(super) fn signed(&self, name: &str) -> i64 {
        go::parse_signed(self.text(name)).expect("checked when set")
    }

    pub(super) fn duration(&self, name: &str) -> Duration {
        go::parse_duration(self.text(name)).expect("checked when set")
    }

    /// What the flag is when it is not given.
    pub(super) fn default_unsigned(&self, name: &str) -> u64 {
        go::parse_unsigned(flag(name).default).expect("defaults are good values")
    }

    /// What the flag is when it is not given.
    pub(super) fn default_duration(&self, name: &str) -> Duration {
        go::parse_duration(flag(name).default).expect("defaults are good values")
    }

    /// Sorted; empty when the flag is empty.
    pub(super) fn urls(&self, name: &str) -> Vec<Url> {
        match self.text(name) {
            "" => Vec::new(),
            text => Url::parse_list(text).expect("checked when set"),
        }
    }
}

fn flag(name: &str) -> &'static Flag {
    table::find(name).expect("names in the code are names of the table")
}

fn is_default(flag: &Flag, value: &str) -> bool {
    match flag.kind {
        Kind::Bool => go::parse_bool(value) == go::parse_bool(flag.default),
        _ => value == flag.default,
    }
}

fn check(kind: Kind, value: &str) -> Result<(), String> {
    let parsed = match kind {
        Kind::Text => true,
        Kind::Bool => go::parse_bool(value).is_some(),
        Kind::Unsigned => go::parse_unsigned(value).is_some(),
        Kind::Signed => go::parse_signed(value).is_some(),
        Kind::Duration => go::parse_duration(value).is_some(),
        Kind::RateLimits => return rate_limits::parse(value).map(|_rules| ()),
        Kind::Gates => return gates::parse(value).map(|_gates| ()),
        Kind::OneOf(choices) if choices.contains(&value) => true,
        Kind::OneOf(_) => return Err("invalid value".to_owned()),
        Kind::Urls if value.is_empty() => true,
        Kind::Urls => {
            return Url::parse_list(value)
                .map(|_| ())
                .map_err(|error| error.to_string());
        }
    };
    if parsed {
        Ok(())
    } else {
        Err("parse error".to_owned())
    }
}

/// A value its flag does not take.
pub(super) struct BadValue {
    value: String,
    reason: String,
    is_bool: bool,
}

impl BadValue {
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    fn for_flag(self, name: &str) -> ConfigError {
        let BadValue {
            value,
            reason,
            is_bool,
        } = self;
        ConfigError::Usage(if is_bool {
            format!("invalid boolean value {value:?} for -{name}: {reason}")
        } else {
            format!("invalid value {value:?} for flag -{name}: {reason}")
        })
    }

    fn for_variable(self, key: &str) -> ConfigError {
        let BadValue { value, reason, .. } = self;
        ConfigError::Invalid(format!("invalid value {value:?} for {key}: {reason}"))
    }
}
