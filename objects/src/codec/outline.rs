//! Finds parts of an object in its JSON without making a tree of it, which takes many times as long.

use std::ops::Range;

use serde::de::IgnoredAny;

use super::{DEPTH_MAX, VALUES_MAX};
use crate::{Map, Value};

/// The longest text: none of this length has more values than may be.
const LENGTH_MAX: usize = VALUES_MAX;
const MANAGERS_NAME: &[u8] = b"\"managedFields\":";

/// The longest number that is surely one to whoever reads a tree.
const NUMBER_LENGTH_MAX: usize = 18;

/// An object as it is stored, read as far as those want to know who keep and send it.
#[derive(Debug, PartialEq)]
pub struct Outline {
    pub namespace: String,
    pub name: String,
    pub labels: Option<Map>,
    /// Where the value of `metadata` is.
    metadata: Range<usize>,
    /// Where the resource version has its place in the order of names, and whether a field comes before and behind it.
    version_at: usize,
    is_first: bool,
    is_last: bool,
}

impl Outline {
    /// The outline of an object without a resource version. None for a text that is no such object, and for one that only a reader of
    /// trees can be sure of: with names told twice or escaped, or numbers of unusual form.
    #[must_use]
    pub fn of(json: &[u8]) -> Option<Outline> {
        let mut metadata = None;
        whole(json, |name, value| {
            if name == b"metadata" && metadata.replace(value).is_some() {
                return None;
            }
            Some(())
        })?;
        Outline::of_metadata(json, metadata?)
    }

    fn of_metadata(json: &[u8], metadata: Range<usize>) -> Option<Outline> {
        let mut walk = Walk {
            json,
            at: metadata.start,
        };
        let (mut place, mut is_first) = (None, true);
        let (mut namespace, mut name, mut labels) = (None, None, None);
        walk.object(|field, value| {
            // Names in their order, as a tree is written: the version finds its place, and none is told twice.
            let start = value.start.checked_sub(field.len() + 3)?;
            if place.is_none() && field > b"resourceVersion" {
                place = Some(start);
            } else if place.is_none() {
                is_first = false;
            }
            let told = match field {
                b"namespace" => &mut namespace,
                b"name" => &mut name,
                b"labels" => &mut labels,
                b"resourceVersion" => return None,
                _ => return Some(()),
            };
            told.replace(value).is_none().then_some(())
        })?;
        let labels = match labels {
            Some(place) => match serde_json::from_slice(&json[place]).ok()? {
                Value::Object(labels) => Some(labels),
                _ => None,
            },
            None => None,
        };
        Some(Outline {
            namespace: text(json, namespace)?,
            name: text(json, name)?,
            labels,
            version_at: place.unwrap_or(metadata.end - 1),
            is_last: place.is_none(),
            is_first,
            metadata,
        })
    }

    /// The text with a resource version, and where in it the value of `metadata` is.
    #[must_use]
    pub fn with_version(&self, json: &[u8], revision: i64) -> (Vec<u8>, Range<usize>) {
        let before = if self.is_last && !self.is_first {
            ","
        } else {
            ""
        };
        let behind = if self.is_last { "" } else { "," };
        let field = format!("{before}\"resourceVersion\":\"{revision}\"{behind}");
        let mut out = Vec::with_capacity(json.len() + field.len());
        out.extend_from_slice(&json[..self.version_at]);
        out.extend_from_slice(field.as_bytes());
        out.extend_from_slice(&json[self.version_at..]);
        let metadata = self.metadata.start..self.metadata.end + field.len();
        (out, metadata)
    }
}

/// `apiVersion` and `kind` of an object; empty where it says none. None if that takes a tree to tell.
#[must_use]
pub fn type_meta(json: &[u8]) -> Option<(String, String)> {
    let (mut version, mut kind) = (None, None);
    whole(json, |name, value| {
        let told = match name {
            b"apiVersion" => &mut version,
            b"kind" => &mut kind,
            _ => return Some(()),
        };
        told.replace(value).is_none().then_some(())
    })?;
    Some((text(json, version)?, text(json, kind)?))
}

/// The text at a place; empty where there is none. None if something else is there.
fn text(json: &[u8], place: Option<Range<usize>>) -> Option<String> {
    match place {
        Some(place) => serde_json::from_slice(&json[place]).ok(),
        None => Some(String::new()),
    }
}

/// Goes through the fields of a whole text. None if it is no object, or if whoever reads a tree could think otherwise of it.
fn whole<'a>(
    json: &'a [u8],
    field: impl FnMut(&'a [u8], Range<usize>) -> Option<()>,
) -> Option<()> {
    if json.len() > LENGTH_MAX {
        return None;
    }
    std::str::from_utf8(json).ok()?;
    let _valid: IgnoredAny = serde_json::from_slice(json).ok()?;
    let mut walk = Walk { json, at: 0 };
    walk.object(field)?;
    (walk.at == json.len()).then_some(())
}

/// The text at a path of fields in JSON that is known to be an object's; empty where there is none. None if it takes a tree to tell.
#[must_use]
pub fn text_at(json: &[u8], path: &[&str]) -> Option<String> {
    let mut place = 0..json.len();
    for step in path {
        if json.get(place.start) != Some(&b'{') {
            return Some(String::new());
        }
        match place_of(json, place.start, step.as_bytes())? {
            Some(value) => place = value,
            None => return Some(String::new()),
        }
    }
    match json.get(place.start) {
        Some(b'"') => serde_json::from_slice(&json[place]).ok(),
        _ => Some(String::new()),
    }
}

/// An object's JSON without its managed fields, which are a large part of many objects and of no use to most readers. None if there
/// are none, or where they are takes a tree to tell.
#[must_use]
pub fn without_managers(json: &[u8]) -> Option<Vec<u8>> {
    let metadata = place_of(json, 0, b"metadata")??;
    let value = place_of(json, metadata.start, b"managedFields")??;
    let mut start = value.start.checked_sub(MANAGERS_NAME.len())?;
    let mut end = value.end;
    if json.get(start..value.start)? != MANAGERS_NAME {
        return None;
    }
    // One of the commas beside the field goes with it.
    if json.get(end) == Some(&b',') {
        end += 1;
    } else if json.get(start.checked_sub(1)?) == Some(&b',') {
        start -= 1;
    }
    Some([&json[..start], &json[end..]].concat())
}

/// Where the value of a field is, of the object that begins at a place. None if it takes a tree to tell.
fn place_of(json: &[u8], at: usize, wanted: &[u8]) -> Option<Option<Range<usize>>> {
    let (mut walk, mut found) = (Walk { json, at }, None);
    let whole = walk.object(|name, value| {
        if name == wanted {
            found = Some(value);
            return None;
        }
        Some(())
    });
    match found {
        Some(value) => Some(Some(value)),
        None => whole.map(|()| None),
    }
}

/// A place in valid JSON that has no white space around its tokens, as all that is written from trees.
struct Walk<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    /// Goes through an object's fields by their names, and the places of their values. None as soon as the reader wants no more, or
    /// cannot be sure of what is there.
    fn object(
        &mut self,
        mut field: impl FnMut(&'a [u8], Range<usize>) -> Option<()>,
    ) -> Option<()> {
        self.token(b'{')?;
        if self.peek()? == b'}' {
            return self.token(b'}');
        }
        loop {
            let name = self.at + 1;
            if self.string()? {
                return None;
            }
            let name = name..self.at - 1;
            self.token(b':')?;
            let start = self.at;
            self.value()?;
            field(&self.json[name], start..self.at)?;
            if self.peek()? == b'}' {
                return self.token(b'}');
            }
            self.token(b',')?;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn token(&mut self, token: u8) -> Option<()> {
        (self.peek()? == token).then(|| self.at += 1)
    }

    /// Passes a text; true if something in it is escaped.
    fn string(&mut self) -> Option<bool> {
        self.token(b'"')?;
        let mut is_escaped = false;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(is_escaped);
                }
                b'\\' => {
                    // Halves of characters are no text to whoever reads a tree.
                    if self.json.get(self.at + 1) == Some(&b'u') {
                        return None;
                    }
                    is_escaped = true;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
    }

    /// Passes a value.
    fn value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    if depth > DEPTH_MAX {
                        return None;
                    }
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' => self.at += 1,
                b't' | b'n' => self.at += 4,
                b'f' => self.at += 5,
                _ => self.number()?,
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        let rest = self.json.get(self.at..)?;
        let length = rest
            .iter()
            .take_while(|letter| matches!(letter, b'0'..=b'9' | b'-'))
            .count();
        self.at += length;
        (1..=NUMBER_LENGTH_MAX).contains(&length).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(value: &Value, revision: i64) -> Option<(String, String)> {
        let json = value.to_string();
        let (with, metadata) =
            Outline::of(json.as_bytes())?.with_version(json.as_bytes(), revision);
        let with = String::from_utf8(with).ok()?;
        let metadata = with[metadata].to_owned();
        Some((with, metadata))
    }

    #[test]
    fn the_version_stands_where_a_tree_would_have_it() {
        let objects = [
            json!({"kind": "Pod", "metadata": {"name": "a\"b", "namespace": "n", "uid": "1"}, "spec": {"a": [1, {"b": null}, true]}}),
            json!({"metadata": {"name": "a", "labels": {"b": "c"}}}),
            json!({"metadata": {"uid": "1"}, "x": -17}),
            json!({"metadata": {}}),
        ];
        for object in objects {
            let mut expected = object.clone();
            expected["metadata"]["resourceVersion"] = json!("7");
            let (with, metadata) = shown(&object, 7).unwrap();
            assert_eq!(with, expected.to_string());
            assert_eq!(metadata, expected["metadata"].to_string());
        }
    }

    #[test]
    fn name_place_and_labels_are_read() {
        let object = json!({"metadata": {"labels": {"a": "ü"}, "name": "a\"b", "namespace": "n"}});
        let outline = Outline::of(object.to_string().as_bytes()).unwrap();
        assert_eq!(
            (outline.namespace.as_str(), outline.name.as_str()),
            ("n", "a\"b")
        );
        assert_eq!(outline.labels.unwrap()["a"], "ü");
    }

    #[test]
    fn what_only_a_tree_can_tell_is_left_to_it() {
        for text in [
            r#"{"metadata":{"name":"a","resourceVersion":"3"}}"#,
            r#"{"metadata":{"name":"a","name":"b"}}"#,
            r#"{"metadata":{},"metadata":{}}"#,
            r#"{"m\u0065tadata":{}}"#,
            r#"{"metadata":{"n\"":"a"}}"#,
            r#"{"metadata":{"name":7}}"#,
            r#"{"metadata":{"name":"\ud800"}}"#,
            r#"{"metadata":{}, "spec":{}}"#,
            r#"{"metadata":{},"spec":1e999}"#,
            r#"{"metadata":[]}"#,
            r#"{"spec":{}}"#,
            r#"{"metadata":{}"#,
            r#"{"metadata":{}}}"#,
            "{\"metadata\":{}}\n",
            "[]",
            "",
        ] {
            assert_eq!(Outline::of(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Outline::of(b"{\"metadata\":{\"name\":\"\xff\"}}"), None);
        let deep = format!(
            "{{\"metadata\":{{}},\"x\":{}{}}}",
            "[".repeat(500),
            "]".repeat(500)
        );
        assert_eq!(Outline::of(deep.as_bytes()), None);
    }

    #[test]
    fn version_and_kind_are_found_wherever_they_stand() {
        let told = |text: &str| type_meta(text.as_bytes());
        let both = Some(("v1".to_owned(), "Pod".to_owned()));
        assert_eq!(
            told(r#"{"spec":{"kind":"x"},"kind":"Pod","apiVersion":"v1"}"#),
            both
        );
        assert_eq!(told("{}"), Some((String::new(), String::new())));
        for text in [
            r#"{"kind":7}"#,
            r#"{"kind":"a","kind":"b"}"#,
            "[]",
            r#"{"a": 1}"#,
            "{",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }

    #[test]
    fn managers_go_and_the_rest_stays() {
        let managers = json!([{"manager": "a", "fieldsV1": {"f:spec": {}}}]);
        let objects = [
            json!({"metadata": {"managedFields": managers, "name": "a"}, "spec": {"managedFields": 1}}),
            json!({"metadata": {"labels": {}, "managedFields": managers}}),
            json!({"metadata": {"labels": {}, "managedFields": managers, "name": "a"}}),
            json!({"metadata": {"managedFields": managers}}),
        ];
        for mut object in objects {
            let without = without_managers(object.to_string().as_bytes()).unwrap();
            let metadata = object["metadata"].as_object_mut().unwrap();
            metadata.remove("managedFields");
            assert_eq!(String::from_utf8(without).unwrap(), object.to_string());
        }
        for text in [
            r#"{"metadata":{"name":"a"}}"#,
            r#"{"metadata":{"managedFields": []}}"#,
            "[]",
            "",
        ] {
            assert_eq!(without_managers(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_text_is_found_by_its_path() {
        let object = json!({"spec": {"nodeName": "n\"1", "count": 7, "none": null}, "kind": "Pod"});
        let json = object.to_string();
        for (path, expected) in [
            (&["spec", "nodeName"][..], "n\"1"),
            (&["kind"], "Pod"),
            (&["spec", "count"], ""),
            (&["spec", "none", "below"], ""),
            (&["kind", "below"], ""),
            (&["status", "phase"], ""),
        ] {
            assert_eq!(
                text_at(json.as_bytes(), path).as_deref(),
                Some(expected),
                "{path:?}"
            );
        }
    }
}
