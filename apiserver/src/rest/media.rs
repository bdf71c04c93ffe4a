//! What a client wants its answer to look like, and what its body looks like.

use objects::status::{Reason, Status};

use crate::served::Served;

/// The encoding of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    Yaml,
    Protobuf,
}

/// What is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// The object itself.
    Object,
    /// Rows as `kubectl get` shows them; the version of `meta.k8s.io`.
    Table { version: String },
    /// Metadata alone.
    Metadata { version: String, list: bool },
}

/// What an answer will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Media {
    pub(super) encoding: Encoding,
    pub(super) form: Form,
    pub(super) pretty: bool,
}

/// What an aggregated discovery document is asked as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiscoveryForm {
    Legacy,
    Aggregated { beta: bool },
}

impl Encoding {
    pub(super) fn name(self) -> &'static str {
        match self {
            Encoding::Json => "application/json",
            Encoding::Yaml => "application/yaml",
            Encoding::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    /// The encoding that a media type names.
    pub(super) fn of(name: &str) -> Option<Encoding> {
        match name {
            "application/json" => Some(Encoding::Json),
            "application/yaml" => Some(Encoding::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Encoding::Protobuf),
            _ => None,
        }
    }
}

/// One part of an `Accept` header.
struct Clause<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl Clause<'_> {
    fn get(&self, key: &str) -> &str {
        self.parameters
            .iter()
            .find(|(name, _)| *name == key)
            .map_or("", |(_, value)| *value)
    }
}

/// The parts of an `Accept` header, the most wanted first.
fn clauses(accept: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = accept
        .split(',')
        .filter_map(|text| {
            let mut parts = text.split(';').map(str::trim);
            let name = parts.next().filter(|name| !name.is_empty())?;
            let parameters: Vec<(&str, &str)> =
                parts.filter_map(|part| part.split_once('=')).collect();
            let quality = parameters
                .iter()
                .find(|(key, _)| *key == "q")
                .and_then(|(_, value)| value.parse().ok());
            Some(Clause {
                name,
                parameters,
                quality: quality.unwrap_or(1.0),
            })
        })
        .collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses
}

/// What an answer is to be, by the request's `Accept`. `protobuf` tells whether the kind has that encoding.
///
/// # Errors
///
/// 406 if nothing that is wanted can be had.
pub(super) fn negotiate(accept: &str, protobuf: bool, pretty: bool) -> Result<Media, Status> {
    if accept.trim().is_empty() {
        return Ok(Media {
            encoding: Encoding::Json,
            form: Form::Object,
            pretty,
        });
    }
    for clause in clauses(accept) {
        let encoding = match clause.name {
            "*/*" | "application/*" => Some(Encoding::Json),
            name => Encoding::of(name),
        };
        let form = form(&clause);
        if let (Some(encoding), Some(form)) = (encoding, form) {
            let tables_are_json =
                encoding == Encoding::Protobuf && matches!(form, Form::Table { .. });
            if encoding == Encoding::Protobuf && !protobuf || tables_are_json {
                continue;
            }
            let pretty = pretty || clause.get("pretty") == "1";
            return Ok(Media {
                encoding,
                form,
                pretty,
            });
        }
    }
    Err(not_acceptable())
}

/// What a client is told that nothing can be answered to. Of a built-in kind upstream looks at the names of media types first, and
/// then says which there are for the verb.
pub(super) fn refusal(accept: &str, (served, verb): (&Served, &str), otherwise: Status) -> Status {
    let is_known = |clause: Clause<'_>| {
        matches!(clause.name, "*/*" | "application/*") || Encoding::of(clause.name).is_some()
    };
    if served.is_custom() || clauses(accept).into_iter().any(is_known) {
        return otherwise;
    }
    let streams = if verb == "list" {
        ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
    } else {
        ""
    };
    Status::new(
        Reason::NotAcceptable,
        format!(
            "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf{streams}"
        ),
    )
}

fn form(clause: &Clause<'_>) -> Option<Form> {
    let version = clause.get("v").to_owned();
    let known = clause.get("g") == "meta.k8s.io" && matches!(version.as_str(), "v1" | "v1beta1");
    match clause.get("as") {
        "" => Some(Form::Object),
        "Table" if known => Some(Form::Table { version }),
        "PartialObjectMetadata" if known => Some(Form::Metadata {
            version,
            list: false,
        }),
        "PartialObjectMetadataList" if known => Some(Form::Metadata {
            version,
            list: true,
        }),
        _ => None,
    }
}

/// The answer to a request for what cannot be had.
pub(super) fn not_acceptable() -> Status {
    Status::new(
        Reason::NotAcceptable,
        "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf",
    )
}

/// Whether a discovery document is wanted aggregated.
pub(super) fn discovery_form(accept: &str) -> DiscoveryForm {
    for clause in clauses(accept) {
        if clause.get("g") == "apidiscovery.k8s.io" && clause.get("as") == "APIGroupDiscoveryList" {
            match clause.get("v") {
                "v2" => return DiscoveryForm::Aggregated { beta: false },
                "v2beta1" => return DiscoveryForm::Aggregated { beta: true },
                _ => {}
            }
        } else if matches!(clause.name, "application/json" | "*/*") {
            return DiscoveryForm::Legacy;
        }
    }
    DiscoveryForm::Legacy
}

/// The encoding of a request's body.
///
/// # Errors
///
/// 415 for one that no decoder reads.
pub(super) fn of_body(content_type: &str) -> Result<Encoding, Status> {
    let name = content_type.split(';').next().unwrap_or_default().trim();
    if name.is_empty() {
        return Ok(Encoding::Json);
    }
    Encoding::of(name).ok_or_else(|| {
        Status::new(
            Reason::UnsupportedMediaType,
            "the body of the request was in an unknown format - accepted media types include: application/json, \
             application/yaml, application/vnd.kubernetes.protobuf",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{DiscoveryForm, Encoding, Form, discovery_form, negotiate};

    #[test]
    fn the_first_kind_of_answer_that_can_be_had_is_given() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(
            negotiate(table, true, false).unwrap().form,
            Form::Table {
                version: "v1".into()
            }
        );
        let protobuf = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(
            negotiate(protobuf, true, false).unwrap().encoding,
            Encoding::Protobuf
        );
        assert_eq!(
            negotiate(protobuf, false, false).unwrap().encoding,
            Encoding::Json
        );
        assert_eq!(
            negotiate("application/yaml;q=0.5, application/json", true, false)
                .unwrap()
                .encoding,
            Encoding::Json
        );
        assert_eq!(
            negotiate("*/*", true, false).unwrap().encoding,
            Encoding::Json
        );
        assert_eq!(negotiate("text/plain", true, false).unwrap_err().code, 406);
    }

    #[test]
    fn discovery_is_aggregated_for_those_who_know_it() {
        let accept =
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        assert_eq!(
            discovery_form(accept),
            DiscoveryForm::Aggregated { beta: false }
        );
        assert_eq!(discovery_form("application/json"), DiscoveryForm::Legacy);
    }
}
