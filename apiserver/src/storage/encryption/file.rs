//! The file of `--encryption-provider-config`: an `EncryptionConfiguration`, judged as upstream does and made into rules.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use objects::Value;
use objects::codec::{json, yaml};
use objects::invalid::{Faults, Invalid};
use objects::path::Path;
use zeroize::Zeroizing;

use super::cipher::Cipher;
use super::rules::{Keyed, Provider, Rules, parse_resource};

const API_VERSION: &str = "apiserver.config.k8s.io/v1";
const KIND: &str = "EncryptionConfiguration";

/// Resources that are in the store and that nobody can ask for.
const WITHOUT_API: [&str; 3] = [
    "apiserveripinfo",
    "serviceipallocations",
    "servicenodeportallocations",
];

/// What is wrong with a file.
#[derive(Debug)]
pub(super) enum Fault {
    Unreadable(String),
    Invalid(String),
    /// A rule that an earlier one leaves nothing to do for.
    Masked(String),
}

/// A provider that has keys.
struct Form {
    field: &'static str,
    prefix: &'static str,
    unknown: &'static str,
    key_bytes: &'static [usize],
    cipher: fn(&[u8]) -> Option<Cipher>,
}

const NO_AES_KEY: &str = "no matching key was found for the provided AES transformer";

const FORMS: [Form; 3] = [
    Form {
        field: "aesgcm",
        prefix: "k8s:enc:aesgcm:v1:",
        unknown: NO_AES_KEY,
        key_bytes: &[16, 24, 32],
        cipher: Cipher::gcm,
    },
    Form {
        field: "aescbc",
        prefix: "k8s:enc:aescbc:v1:",
        unknown: NO_AES_KEY,
        key_bytes: &[16, 24, 32],
        cipher: Cipher::cbc,
    },
    Form {
        field: "secretbox",
        prefix: "k8s:enc:secretbox:v1:",
        unknown: "no matching key was found for the provided Secretbox transformer",
        key_bytes: &[32],
        cipher: Cipher::secretbox,
    },
];

/// The rules that a file states.
pub(super) fn parse(bytes: &[u8]) -> Result<Rules, Fault> {
    let read = yaml::read(bytes).map_err(|fault| Fault::Unreadable(fault.to_string()))?;
    let (api_version, kind) = (&read.value["apiVersion"], &read.value["kind"]);
    if api_version != API_VERSION || kind != KIND {
        return Err(Fault::Unreadable(format!(
            "no kind {kind} is registered for version {api_version}; {KIND} of {API_VERSION} is wanted"
        )));
    }
    let mut strict = read.strict;
    check_shape(&read.value, &mut strict).map_err(Fault::Unreadable)?;
    if !strict.is_empty() {
        return Err(Fault::Unreadable(json::strict_message(&strict)));
    }
    let mut faults = Faults::new();
    let mut wanted = Vec::new();
    let root = Path::new("resources");
    let rules = list(&read.value, "resources");
    if rules.is_empty() {
        faults.push(at_least_one(&root, "resources"));
    }
    for (at, rule) in rules.iter().enumerate() {
        let path = root.index(at);
        let resources = resources(rule, &path.child("resources"), &mut faults);
        let providers = providers(rule, &path.child("providers"), &mut faults);
        wanted.push((resources, providers));
    }
    match faults.as_slice() {
        [] => {}
        [one] => return Err(Fault::Invalid(one.to_string())),
        many => {
            let texts: Vec<String> = many.iter().map(ToString::to_string).collect();
            return Err(Fault::Invalid(format!("[{}]", texts.join(", "))));
        }
    }
    let mut rules = Rules::default();
    for (resources, providers) in wanted {
        for resource in resources {
            rules.add(resource, &providers).map_err(Fault::Masked)?;
        }
    }
    Ok(rules)
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

fn at_least_one(path: &Path, what: &str) -> Invalid {
    Invalid::required(path, format!("at least one {what} is required"))
}

/// The shape of a configuration: which fields there are, and what they hold.
enum Shape {
    Text,
    Object(&'static [(&'static str, Shape)]),
    List(&'static Shape),
    /// What is refused later, with a text of its own.
    Any,
}

const KEYS: Shape = Shape::Object(&[(
    "keys",
    Shape::List(&Shape::Object(&[
        ("name", Shape::Text),
        ("secret", Shape::Text),
    ])),
)]);
const PROVIDER: Shape = Shape::Object(&[
    ("identity", Shape::Object(&[])),
    ("aesgcm", KEYS),
    ("aescbc", KEYS),
    ("secretbox", KEYS),
    ("kms", Shape::Any),
]);
const RULE: Shape = Shape::Object(&[
    ("resources", Shape::List(&Shape::Text)),
    ("providers", Shape::List(&PROVIDER)),
]);
const CONFIGURATION: Shape = Shape::Object(&[
    ("apiVersion", Shape::Text),
    ("kind", Shape::Text),
    ("resources", Shape::List(&RULE)),
]);

/// Adds the fields that are not known to what a strict reader has against the file.
///
/// # Errors
///
/// If a field holds something of another type.
fn check_shape(value: &Value, strict: &mut Vec<String>) -> Result<(), String> {
    check_part(value, &CONFIGURATION, &Path::root(), strict)
}

fn check_part(
    value: &Value,
    shape: &Shape,
    path: &Path,
    strict: &mut Vec<String>,
) -> Result<(), String> {
    match (shape, value) {
        (Shape::Any, _) | (_, Value::Null) | (Shape::Text, Value::String(_)) => Ok(()),
        (Shape::Object(fields), Value::Object(held)) => {
            for (name, inner) in held {
                let path = path.child(name);
                match fields.iter().find(|(known, _)| known == name) {
                    Some((_, shape)) => check_part(inner, shape, &path, strict)?,
                    None => strict.push(format!("unknown field {:?}", path.as_str())),
                }
            }
            Ok(())
        }
        (Shape::List(shape), Value::Array(items)) => {
            for (at, item) in items.iter().enumerate() {
                check_part(item, shape, &path.index(at), strict)?;
            }
            Ok(())
        }
        // The value is not shown: it may be a secret.
        _ => Err(format!("{}: is of another type", path.as_str())),
    }
}

fn resources<'a>(rule: &'a Value, path: &Path, faults: &mut Faults) -> Vec<&'a str> {
    let names: Vec<&str> = list(rule, "resources")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if names.is_empty() {
        faults.push(at_least_one(path, path.as_str()));
    }
    let (mut twice, mut overlap) = (false, false);
    let parsed: Vec<(&str, &str)> = names.iter().map(|name| parse_resource(name)).collect();
    for (at, one) in parsed.iter().enumerate() {
        for other in &parsed[at + 1..] {
            let all = [one, other].contains(&&("*", "*"));
            let group = one.0 == other.0 && (one.1 == "*" || other.1 == "*");
            twice |= one == other;
            overlap |= one != other && (all || group);
        }
    }
    let mut whole = |detail| faults.push(Invalid::value(path, names.clone(), detail));
    if twice {
        whole("the same resource cannot be specified multiple times");
    }
    if overlap {
        whole(
            "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked",
        );
    }
    for (at, name) in names.iter().enumerate() {
        if let Some(why) = unusable(name) {
            faults.push(Invalid::value(&path.index(at), *name, why));
        }
    }
    names
}

/// Why nothing can be sealed under a name.
fn unusable(name: &str) -> Option<&'static str> {
    if name.chars().any(char::is_uppercase) {
        return Some("resource name should not contain capital letters");
    }
    if name == "*" {
        return Some(
            "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources",
        );
    }
    if WITHOUT_API.contains(&name) {
        return Some("resources which do not have REST API/s cannot be encrypted");
    }
    match parse_resource(name) {
        ("events.k8s.io", _) => Some(
            "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file",
        ),
        ("extensions", _) => {
            Some("'extensions' group has been removed and cannot be used for encryption")
        }
        ("*", plural) if plural != "*" => {
            Some("encrypting the same resource across groups is not supported")
        }
        _ => None,
    }
}

fn providers(rule: &Value, path: &Path, faults: &mut Faults) -> Vec<Provider> {
    let listed = list(rule, "providers");
    if listed.is_empty() {
        faults.push(at_least_one(path, path.as_str()));
    }
    let mut found = Vec::new();
    for (at, provider) in listed.iter().enumerate() {
        let path = path.index(at);
        let said: Vec<&str> = ["kms", "aesgcm", "aescbc", "secretbox", "identity"]
            .into_iter()
            .filter(|field| !provider[*field].is_null())
            .collect();
        match said.as_slice() {
            [] => faults.push(Invalid::hidden(
                &path,
                "provider does not contain any of the expected providers: AESGCM, AESCBC, Secretbox, Identity",
            )),
            ["identity"] => found.push(Provider::Identity),
            ["kms"] => faults.push(Invalid::forbidden(
                &path.child("kms"),
                "this server speaks to no key management service; use aesgcm, aescbc or secretbox",
            )),
            [one] => {
                let form = FORMS.iter().find(|form| form.field == *one);
                let form = form.expect("all other fields have a form");
                let path = path.child(one).child("keys");
                found.push(keyed(form, list(&provider[*one], "keys"), &path, faults));
            }
            _ => faults.push(Invalid::hidden(
                &path,
                "more than one provider specified in a single element, should split into different list elements",
            )),
        }
    }
    found
}

fn keyed(form: &Form, listed: &[Value], path: &Path, faults: &mut Faults) -> Provider {
    if listed.is_empty() {
        faults.push(at_least_one(path, "keys"));
    }
    let keys = listed
        .iter()
        .enumerate()
        .filter_map(|(at, key)| named(form, key, &path.index(at), faults));
    Provider::Keyed(Arc::new(Keyed {
        prefix: form.prefix,
        keys: keys.collect(),
        unknown: form.unknown,
    }))
}

fn named(form: &Form, key: &Value, path: &Path, faults: &mut Faults) -> Option<(String, Cipher)> {
    let name = key["name"].as_str().unwrap_or_default();
    let secret = key["secret"].as_str().unwrap_or_default();
    for (field, text) in [("name", name), ("secret", secret)] {
        if text.is_empty() {
            let why = format!("{field} is a mandatory field for a key");
            faults.push(Invalid::required(&path.child(field), why));
        }
    }
    if secret.is_empty() {
        return None;
    }
    let path = path.child("secret");
    let lines: Zeroizing<String> = Zeroizing::new(secret.replace(['\r', '\n'], ""));
    let Ok(bytes) = STANDARD.decode(lines.as_bytes()) else {
        let why = "secrets must be base64 encoded";
        faults.push(Invalid::value(&path, "REDACTED", why));
        return None;
    };
    let bytes = Zeroizing::new(bytes);
    let cipher = (form.cipher)(&bytes);
    if cipher.is_none() {
        let lengths: Vec<String> = form.key_bytes.iter().map(ToString::to_string).collect();
        let why = format!(
            "secret is not of the expected length, got {}, expected one of [{}]",
            bytes.len(),
            lengths.join(" ")
        );
        faults.push(Invalid::value(&path, "REDACTED", why));
    }
    cipher.map(|cipher| (name.to_owned(), cipher))
}
