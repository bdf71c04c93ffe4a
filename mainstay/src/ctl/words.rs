//! Words of a line that etcdctl reads: with quotation marks, and inside of double ones with Go's escapes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use anyhow::Result;

use super::failure::{Failure, INVALID_INPUT_EXIT_CODE};

/// Go's name for a string whose escapes are none.
const NO_SYNTAX: &str = "invalid syntax";

/// A complaint about what was entered.
pub(super) fn invalid(text: String) -> anyhow::Error {
    Failure::new(INVALID_INPUT_EXIT_CODE, text).into()
}

/// Splits at spaces outside of quotation marks. A mark that is not closed is passed over, and so is one behind a word's
/// first letter: it is a letter as any other.
pub(super) fn split(line: &str) -> Result<Vec<OsString>> {
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            ' ' | '\t' | '\n' | '\r' | '\x0c' => None,
            '"' => double_end(rest),
            '\'' => rest[1..].find('\'').map(|end| end + 2),
            _ => Some(plain_end(rest)),
        };
        let Some(end) = end else {
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let (word, behind) = rest.split_at(end);
        let word = match first {
            '"' => unquote(&word[1..end - 1]).ok_or_else(|| invalid(NO_SYNTAX.to_owned()))?,
            '\'' => word.as_bytes()[1..end - 1].to_vec(),
            _ => word.as_bytes().to_vec(),
        };
        words.push(OsString::from_vec(word));
        rest = behind;
    }
    Ok(words)
}

fn plain_end(text: &str) -> usize {
    let end = text.find([' ', '\t', '\n', '\r', '\x0c']);
    end.unwrap_or(text.len())
}

/// Where the string ends that begins with a double quotation mark, the closing one included.
fn double_end(text: &str) -> Option<usize> {
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some(at + 1),
            '\\' => _ = letters.next(),
            _ => {}
        }
    }
    None
}

/// The string at the beginning of a text, behind spaces, and what stands behind it: Go's `%q` of a scan.
pub(super) fn quoted(text: &str) -> Option<(Vec<u8>, &str)> {
    let text = text.trim_start();
    if let Some(raw) = text.strip_prefix('`') {
        let (raw, rest) = raw.split_once('`')?;
        return Some((raw.as_bytes().to_vec(), rest));
    }
    if !text.starts_with('"') {
        return None;
    }
    let end = double_end(text)?;
    Some((unquote(&text[1..end - 1])?, &text[end..]))
}

/// What stands between double quotation marks, with Go's escapes read. `\x` and the octal ones are bytes, so what comes out
/// may be no UTF-8.
fn unquote(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match letter {
            '\n' => return None,
            '\\' => rest = escape(rest, &mut bytes)?,
            plain => push(plain, &mut bytes),
        }
    }
    Some(bytes)
}

fn push(letter: char, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Reads an escape behind its backslash; what stands behind it.
fn escape<'a>(text: &'a str, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let name = text.chars().next()?;
    let behind = &text[name.len_utf8()..];
    let number = |text: &'a str, digits: usize, base: u32| -> Option<(u32, &'a str)> {
        let (number, rest) = text.split_at_checked(digits)?;
        let is_number = number.chars().all(|digit| digit.is_digit(base));
        let number = u32::from_str_radix(number, base)
            .ok()
            .filter(|_| is_number)?;
        Some((number, rest))
    };
    let short = match name {
        'a' => 7,
        'b' => 8,
        't' => b'\t',
        'n' => b'\n',
        'v' => 11,
        'f' => 12,
        'r' => b'\r',
        '\\' | '"' => name as u8,
        'x' | '0'..='7' => {
            let (byte, rest) = if name == 'x' {
                number(behind, 2, 16)?
            } else {
                number(text, 3, 8)?
            };
            bytes.push(u8::try_from(byte).ok()?);
            return Some(rest);
        }
        'u' | 'U' => {
            let digits = if name == 'u' { 4 } else { 8 };
            let (letter, rest) = number(behind, digits, 16)?;
            push(char::from_u32(letter)?, bytes);
            return Some(rest);
        }
        _ => return None,
    };
    bytes.push(short);
    Some(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        let words = split(line).unwrap().into_iter();
        words.map(OsString::into_vec).collect()
    }

    /// etcd's own table, in Go's `util_test.go` of etcdctl, and the rules of its regular expression.
    #[test]
    fn lines_are_split_as_by_etcdctl() {
        for (line, expected) in [
            (r#"foo bar"#, &[&b"foo"[..], b"bar"][..]),
            (r#"foo 'bar' "baz""#, &[b"foo", b"bar", b"baz"]),
            (r#"'a "key" \n'"#, &[br#"a "key" \n"#]),
            (r#""a\"b" it's b"c d"#, &[br#"a"b"#, b"it's", b"b\"c", b"d"]),
            (r#"put "" ''"#, &[b"put", b"", b""]),
            (r#"a "open b"#, &[b"a", b"open", b"b"]),
            ("a\tb\u{a0}c", &[b"a", "b\u{a0}c".as_bytes()]),
            ("é 'ü", &["é".as_bytes(), "ü".as_bytes()]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn escapes_are_gos() {
        for (line, expected) in [
            (
                r#""\a\b\t\n\v\f\r\\\"""#,
                &b"\x07\x08\t\n\x0b\x0c\r\\\""[..],
            ),
            (r#""\x00\xff\377\101""#, b"\0\xff\xffA"),
            (r#""\u00e9\U0001f600""#, "é😀".as_bytes()),
        ] {
            assert_eq!(words(line), [expected], "{line}");
        }
        for line in [
            r#""\q""#,
            r#""\'""#,
            r#""\x1""#,
            r#""\400""#,
            r#""\8""#,
            r#""\ud800""#,
            r#""\x+1""#,
        ] {
            let failure = split(line).unwrap_err();
            assert_eq!(failure.to_string(), "invalid syntax", "{line}");
        }
    }

    #[test]
    fn a_quoted_string_ends_at_its_mark() {
        let (key, rest) = quoted(r#"  "a\"b") = 1"#).unwrap();
        assert_eq!((&*key, rest), (&b"a\"b"[..], ") = 1"));
        assert_eq!(quoted("`raw\\n` x").unwrap(), (b"raw\\n".to_vec(), " x"));
        for none in ["", "a", "\"open", "`open", "'a'"] {
            assert_eq!(quoted(none), None, "{none}");
        }
    }
}
