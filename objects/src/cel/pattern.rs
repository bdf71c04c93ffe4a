//! Patterns in the language of RE2, which expressions are written for, in that of the `regex` crate.

use regex::{Regex, RegexBuilder};

use super::eval::Error;

/// How much memory a compiled pattern may take.
const SIZE_MAX: usize = 2 << 20;

/// Compiles a pattern.
pub(super) fn compile(source: &str) -> Result<Regex, Error> {
    RegexBuilder::new(&translate(source))
        .size_limit(SIZE_MAX)
        .build()
        .map_err(|error| Error::new(format!("error parsing regexp: {}", go_text(source, &error))))
}

/// Go's words for what is most often wrong with a pattern.
fn go_text(source: &str, error: &regex::Error) -> String {
    let text = error.to_string();
    if text.contains("unclosed character class") {
        let open = source.find('[').unwrap_or(0);
        return format!("missing closing ]: `{}`", &source[open..]);
    }
    if text.contains("unclosed group") {
        return format!("missing closing ): `{source}`");
    }
    if text.contains("unopened group") {
        return format!("unexpected ): `{source}`");
    }
    if text.contains("repetition operator missing expression") {
        let operator = source.find(['*', '+', '?', '{']).unwrap_or(0);
        let operator: String = source[operator..].chars().take(1).collect();
        return format!("missing argument to repetition operator: `{operator}`");
    }
    let last = text.lines().last().unwrap_or_default();
    format!("{}: `{source}`", last.trim_start_matches("error: "))
}

/// RE2's classes are of ASCII, and inside brackets it knows no set operators.
fn translate(source: &str) -> String {
    let mut out = String::new();
    let mut chars = source.chars().peekable();
    let mut class: Option<usize> = None;
    while let Some(next) = chars.next() {
        if let Some(length) = class.as_mut() {
            *length += 1;
        }
        match (next, class) {
            ('\\', _) => match chars.next() {
                Some(kind) => escape(kind, class.is_some(), &mut out),
                None => out.push('\\'),
            },
            ('[', None) => {
                class = Some(0);
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if chars.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            ('[', Some(_)) if chars.peek() == Some(&':') => {
                out.push('[');
                for inner in chars.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            ('[' | '&' | '~', Some(_)) => {
                out.push('\\');
                out.push(next);
            }
            (']', Some(_)) => {
                class = None;
                out.push(']');
            }
            (next, _) => out.push(next),
        }
    }
    out
}

fn escape(kind: char, in_class: bool, out: &mut String) {
    let inner = match kind.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\x0C\\r ",
        'b' if !in_class => {
            out.push_str(if kind == 'b' {
                "(?-u:\\b)"
            } else {
                "(?-u:\\B)"
            });
            return;
        }
        _ => {
            out.push('\\');
            out.push(kind);
            return;
        }
    };
    match (kind.is_ascii_uppercase(), in_class) {
        (true, _) => out.push_str(&format!("[^{inner}]")),
        (false, true) => out.push_str(inner),
        (false, false) => out.push_str(&format!("[{inner}]")),
    }
}
