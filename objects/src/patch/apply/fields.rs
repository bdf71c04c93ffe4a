//! Sets of fields in the form of `fieldsV1`, as managed fields hold them.

use super::element::Element;
use super::set::{Node, Set};
use crate::{Map, Value};

/// The most levels of a set that is read. Objects that are read from JSON are not deeper.
pub const DEPTH_MAX: usize = 128;

/// The most steps of a set that is read: more than fit into an object of a size that the store takes.
pub const STEPS_MAX: usize = 1 << 20;

/// The mark of a field that is in the set and has fields of the set below it.
const SELF: &str = ".";

impl Set {
    /// Reads `fieldsV1`.
    ///
    /// # Errors
    ///
    /// What is wrong with it: a step that is none, too many levels or too many steps.
    pub fn decode(fields: &Value) -> Result<Set, String> {
        let mut steps_left = STEPS_MAX;
        let (set, _) = decode(fields, DEPTH_MAX, &mut steps_left)?;
        Ok(set)
    }

    /// The set as a value for `fieldsV1`.
    #[must_use]
    pub fn encode(&self) -> Value {
        let fields: Map = self
            .nodes()
            .iter()
            .map(|node| {
                let mut below = node.below.encode();
                if let Value::Object(fields) = &mut below
                    && node.member
                    && !fields.is_empty()
                {
                    fields.insert(SELF.to_owned(), Value::Object(Map::new()));
                }
                (node.element.encode(), below)
            })
            .collect();
        Value::Object(fields)
    }

    /// The set as JSON with the fields in upstream's order, which is not that of their texts: `k:{"port":80}` comes before `k:{"port":443}`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        self.write(false, &mut text);
        text
    }

    fn write(&self, member: bool, text: &mut String) {
        text.push('{');
        if member && !self.is_empty() {
            text.push_str("\".\":{}");
        }
        for (index, node) in self.nodes().iter().enumerate() {
            if index > 0 || member {
                text.push(',');
            }
            text.push_str(&Value::from(node.element.encode()).to_string());
            text.push(':');
            node.below.write(node.member, text);
        }
        text.push('}');
    }
}

/// The fields below a place, and if the place itself is in the set: where it says so, and where nothing is below it.
fn decode(
    fields: &Value,
    depth_left: usize,
    steps_left: &mut usize,
) -> Result<(Set, bool), String> {
    let fields = match fields {
        Value::Object(fields) => fields,
        Value::Null => return Ok((Set::default(), true)),
        _ => return Err("expect { or n".to_owned()),
    };
    let Some(depth_left) = depth_left.checked_sub(1) else {
        return Err(format!("more than {DEPTH_MAX} levels"));
    };
    let mut member = false;
    let mut nodes = Vec::with_capacity(fields.len());
    for (key, below) in fields {
        if key == SELF {
            member = true;
            continue;
        }
        *steps_left = steps_left
            .checked_sub(1)
            .ok_or_else(|| format!("more than {STEPS_MAX} fields"))?;
        let Some(element) = Element::decode(key)
            .map_err(|fault| format!("parsing key as path element: {fault}"))?
        else {
            continue;
        };
        let (below, member) = decode(below, depth_left, steps_left)?;
        nodes.extend(Node::kept(&element, member, below));
    }
    // Two texts may be one step: `v:1` and `v:1.0`.
    let mut set = Set::from_nodes(nodes);
    if set
        .nodes()
        .windows(2)
        .any(|pair| pair[0].element == pair[1].element)
    {
        set = set.nodes().iter().fold(Set::default(), |set, node| {
            set.union(&Set::from_nodes(vec![node.clone()]))
        });
    }
    let member = member || set.is_empty();
    Ok((set, member))
}
