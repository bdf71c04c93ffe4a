//! One rule of a role: which verbs on which resources or paths.

use objects::{Map, Value, meta};

use super::text::quoted_list;
use crate::attributes::Attributes;

/// What stands for everything in each of a rule's lists but the names.
const ALL: &str = "*";

/// A `PolicyRule`. Rules only ever add to what somebody may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    pub verbs: Vec<String>,
    pub groups: Vec<String>,
    pub resources: Vec<String>,
    /// None for every object.
    pub resource_names: Vec<String>,
    pub non_resource_urls: Vec<String>,
}

impl Rule {
    /// A rule as it stands in a role. What is no text is left out, which allows less.
    #[must_use]
    pub fn from_value(value: &Value) -> Rule {
        let texts = |field| {
            meta::list(value, &[field])
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        Rule {
            verbs: texts("verbs"),
            groups: texts("apiGroups"),
            resources: texts("resources"),
            resource_names: texts("resourceNames"),
            non_resource_urls: texts("nonResourceURLs"),
        }
    }

    /// The rules of a role.
    #[must_use]
    pub fn list_of(role: &Value) -> Vec<Rule> {
        meta::list(role, &["rules"])
            .iter()
            .map(Rule::from_value)
            .collect()
    }

    /// The rule as it stands in a role. The verbs are always there, the rest where it is not empty.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("verbs".to_owned(), Value::from(self.verbs.clone()));
        for (field, texts) in [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.resource_names),
            ("nonResourceURLs", &self.non_resource_urls),
        ] {
            if !texts.is_empty() {
                fields.insert(field.to_owned(), Value::from(texts.clone()));
            }
        }
        Value::Object(fields)
    }

    /// Whether the rule allows what is asked.
    #[must_use]
    pub fn allows(&self, asked: &Attributes) -> bool {
        if !has(&self.verbs, &asked.verb) {
            return false;
        }
        if !asked.is_resource() {
            return self
                .non_resource_urls
                .iter()
                .any(|url| covers_url(url, &asked.path));
        }
        has(&self.groups, &asked.group)
            && self.has_resource(asked)
            && (self.resource_names.is_empty() || self.resource_names.contains(&asked.name))
    }

    fn has_resource(&self, asked: &Attributes) -> bool {
        self.resources.iter().any(|resource| {
            if resource == ALL {
                return true;
            }
            if asked.subresource.is_empty() {
                return *resource == asked.resource;
            }
            let owner = resource.strip_suffix(&asked.subresource);
            owner
                .and_then(|owner| owner.strip_suffix('/'))
                .is_some_and(|owner| owner == ALL || owner == asked.resource)
        })
    }

    /// The rule in the short form that upstream's messages have.
    #[must_use]
    pub fn describe(&self) -> String {
        let parts: Vec<String> = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ]
        .into_iter()
        .filter(|(_, texts)| !texts.is_empty())
        .map(|(name, texts)| format!("{name}:{}", quoted_list(texts)))
        .collect();
        format!("{{{}}}", parts.join(", "))
    }
}

/// Whether a list names a text, or everything.
pub(super) fn has(list: &[String], text: &str) -> bool {
    list.iter().any(|own| own == ALL || own == text)
}

/// Whether a path of a rule, which may end in a star, covers a path.
pub(super) fn covers_url(own: &str, path: &str) -> bool {
    own == path || (own.ends_with(ALL) && path.starts_with(own.trim_end_matches(ALL)))
}
