//! Field selectors: `status.phase!=Running,spec.nodeName=a`.

use std::fmt;

/// What a selector asks of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub field: String,
    pub value: String,
    /// The field must have the value, or must not.
    pub equal: bool,
}

/// Terms that must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    terms: Vec<Term>,
}

const ESCAPED: [char; 3] = ['\\', ',', '='];

impl Selector {
    /// Reads a selector. The fault is upstream's text.
    ///
    /// # Errors
    ///
    /// If the text is none.
    pub fn parse(text: &str) -> Result<Selector, String> {
        let mut parts = split(text);
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let (field, equal, value) = term(part)
                .ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{part}'"))?;
            terms.push(Term {
                field: field.to_owned(),
                value: unescape(value)?,
                equal,
            });
        }
        Ok(Selector { terms })
    }

    /// Gives every field the name that `canonical` knows it by.
    ///
    /// # Errors
    ///
    /// The first that it does not know.
    pub fn rename<E>(
        mut self,
        canonical: impl Fn(&str) -> Result<String, E>,
    ) -> Result<Selector, E> {
        for term in &mut self.terms {
            term.field = canonical(&term.field)?;
        }
        Ok(self)
    }

    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The value that a field must have, if there is one.
    #[must_use]
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.terms
            .iter()
            .find(|term| term.equal && term.field == field)
            .map(|term| &*term.value)
    }

    /// Whether fields, whose values are asked for by name, are selected.
    #[must_use]
    pub fn matches(&self, value: &dyn Fn(&str) -> String) -> bool {
        self.terms
            .iter()
            .all(|term| (value(&term.field) == term.value) == term.equal)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let operator = if term.equal { "=" } else { "!=" };
            let mut value = String::new();
            for letter in term.value.chars() {
                if ESCAPED.contains(&letter) {
                    value.push('\\');
                }
                value.push(letter);
            }
            write!(formatter, "{comma}{}{operator}{value}", term.field)?;
        }
        Ok(())
    }
}

/// The parts between commas that are not escaped.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (index, letter) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if letter == '\\' {
            escaped = true;
        } else if letter == ',' {
            parts.push(&text[start..index]);
            start = index + 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Field, whether it must be equal, and value.
fn term(part: &str) -> Option<(&str, bool, &str)> {
    let start = part
        .char_indices()
        .map(|(index, _)| index)
        .find(|index| part[*index..].starts_with("!=") || part[*index..].starts_with('='))?;
    let (field, rest) = part.split_at(start);
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((field, false, value));
    }
    let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?;
    Some((field, true, value))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut value = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(escaped) if ESCAPED.contains(&escaped) => value.push(escaped),
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return Err(format!(
                        "invalid field selector: invalid escape sequence: \\{other}"
                    ));
                }
            },
            ',' | '=' => {
                return Err(format!(
                    "invalid field selector: unescaped character in value: {}",
                    u32::from(letter)
                ));
            }
            letter => value.push(letter),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Selector;

    #[test]
    fn terms_are_read_in_order_of_their_text() {
        for (given, expected) in [
            ("", ""),
            ("b=1,a==2,", "a=2,b=1"),
            ("a!=", "a!="),
            (r"a=x\,y\=z\\", r"a=x\,y\=z\\"),
        ] {
            assert_eq!(Selector::parse(given).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_selector_is_told_in_upstreams_words() {
        for (given, expected) in [
            (
                "metadata.name",
                "invalid selector: 'metadata.name'; can't understand 'metadata.name'",
            ),
            ("a>b", "invalid selector: 'a>b'; can't understand 'a>b'"),
            (
                r"a=\q",
                r"invalid field selector: invalid escape sequence: \q",
            ),
            (
                r"a!=x\",
                r"invalid field selector: invalid escape sequence: \",
            ),
            (
                "a=b=c",
                "invalid field selector: unescaped character in value: 61",
            ),
        ] {
            assert_eq!(Selector::parse(given).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_field_has_the_value_or_has_it_not() {
        let value = |field: &str| {
            if field == "a" {
                "1".to_owned()
            } else {
                String::new()
            }
        };
        for (selector, selected) in [
            ("a=1", true),
            ("a!=1", false),
            ("b!=1,a=1", true),
            ("b=", true),
        ] {
            assert_eq!(Selector::parse(selector).unwrap().matches(&value), selected);
        }
        assert_eq!(Selector::parse("a=1,b!=2").unwrap().exact("a"), Some("1"));
        assert_eq!(Selector::parse("a=1,b!=2").unwrap().exact("b"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r"[ab=!,\\é]{0,20}") {
            if let Ok(selector) = Selector::parse(&text) {
                prop_assert_eq!(Selector::parse(&selector.to_string()).unwrap().terms().len(), selector.terms().len());
            }
        }
    }
}
