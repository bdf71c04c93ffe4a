//! The path of a rule's `fieldPath`: `.spec.replicas`, `['a.b'].c`.

use crate::{
    path::Path,
    schema::{At, Shape},
};

/// The path as messages say it, if the schema has it.
pub(super) fn parse(text: &str, at: At<'_>) -> Option<String> {
    let mut place = at;
    let mut path = Path::root();
    let mut rest = text;
    while !rest.is_empty() {
        let name;
        (name, rest) = step(rest)?;
        let keyed = matches!(place.shape(), Shape::Map { .. });
        path = if keyed {
            path.key(&name)
        } else {
            path.child(&name)
        };
        place = place.field(&name)?;
    }
    Some(path.as_str().to_owned())
}

/// The first step of a path, and what follows it.
fn step(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        return (!name.is_empty()).then(|| (name.to_owned(), rest));
    }
    let rest = text.strip_prefix("['")?;
    let mut name = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, next)) = chars.next() {
        match next {
            '\'' => return Some((name, rest[at + 1..].strip_prefix(']')?)),
            '\\' => name.push(unescaped(chars.next()?.1)?),
            other => name.push(other),
        }
    }
    None
}

fn unescaped(kind: char) -> Option<char> {
    Some(match kind {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\'' | '\\' => kind,
        _ => return None,
    })
}
