//! Lines of values with commas between them, with the quoting that upstream's token file has.

const BARE: &str = "bare \" in non-quoted field";
const UNCLOSED: &str = "extraneous or missing \" in quoted-field";

/// All records of a text. Empty lines are none, and a value in quotes may go over several lines.
///
/// # Errors
/// Where the text has a quote in a wrong place.
pub(super) fn records(text: &str) -> Result<Vec<Vec<String>>, String> {
    let text = text.replace("\r\n", "\n");
    let mut lines = Lines {
        rest: text.strip_suffix('\r').unwrap_or(&text),
        number: 0,
    };
    let mut records = Vec::new();
    while let Some(line) = lines.next() {
        if line != "\n" {
            records.push(record(line, &mut lines)?);
        }
    }
    Ok(records)
}

/// The lines that are left, with their ends.
struct Lines<'a> {
    rest: &'a str,
    /// That of the line that was given last.
    number: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at(end);
        (self.rest, self.number) = (rest, self.number + 1);
        Some(line)
    }
}

/// A place in the text: what is left of the line, and the column of its first byte.
struct Cursor<'a> {
    rest: &'a str,
    column: usize,
    line_first: usize,
}

impl<'a> Cursor<'a> {
    fn skip(&mut self, bytes: usize) -> &'a str {
        let (skipped, rest) = self.rest.split_at(bytes);
        (self.rest, self.column) = (rest, self.column + bytes);
        skipped
    }

    fn fault(&self, lines: &Lines<'_>, column: usize, what: &str) -> String {
        let (first, line) = (self.line_first, lines.number);
        let place = format!("parse error on line {line}, column {column}: {what}");
        if first == line {
            place
        } else {
            format!("record on line {first}; {place}")
        }
    }
}

fn record<'a>(line: &'a str, lines: &mut Lines<'a>) -> Result<Vec<String>, String> {
    let mut at = Cursor {
        rest: line,
        column: 1,
        line_first: lines.number,
    };
    let mut fields = Vec::new();
    loop {
        let field = if at.rest.starts_with('"') {
            quoted(&mut at, lines)?
        } else {
            plain(&mut at, lines)?
        };
        fields.push(field);
        if !at.rest.starts_with(',') {
            return Ok(fields);
        }
        at.skip(1);
    }
}

fn plain(at: &mut Cursor<'_>, lines: &Lines<'_>) -> Result<String, String> {
    let end = at.rest.find([',', '\n']).unwrap_or(at.rest.len());
    if let Some(quote) = at.rest[..end].find('"') {
        return Err(at.fault(lines, at.column + quote, BARE));
    }
    Ok(at.skip(end).to_owned())
}

fn quoted<'a>(at: &mut Cursor<'a>, lines: &mut Lines<'a>) -> Result<String, String> {
    at.skip(1);
    let mut field = String::new();
    loop {
        if let Some(end) = at.rest.find('"') {
            field.push_str(at.skip(end));
            at.skip(1);
            if at.rest.starts_with('"') {
                field.push_str(at.skip(1));
            } else if matches!(at.rest.chars().next(), None | Some(',' | '\n')) {
                return Ok(field);
            } else {
                return Err(at.fault(lines, at.column - 1, UNCLOSED));
            }
        } else if at.rest.is_empty() {
            return Err(at.fault(lines, at.column, UNCLOSED));
        } else {
            field.push_str(at.skip(at.rest.len()));
            if let Some(next) = lines.next() {
                (at.rest, at.column) = (next, 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::records;

    #[test]
    fn values_are_split_at_commas_and_quotes_keep_them_together() {
        let wanted = vec![
            vec!["a", "b", "c"],
            vec!["d,e", "f\"g", ""],
            vec!["h\ni", " j "],
            vec![""],
        ];
        let text = "a,b,c\r\n\n\"d,e\",\"f\"\"g\",\n\"h\ni\", j \n\"\"";
        assert_eq!(records(text).unwrap(), wanted);
    }

    #[test]
    fn a_quote_in_a_wrong_place_is_told_with_its_line_and_column() {
        for (text, wanted) in [
            (
                "a,b\"c,d",
                "parse error on line 1, column 4: bare \" in non-quoted field",
            ),
            (
                "a\n\"b\"c,d",
                "parse error on line 2, column 3: extraneous or missing \" in quoted-field",
            ),
            (
                "a,\"b",
                "parse error on line 1, column 5: extraneous or missing \" in quoted-field",
            ),
            (
                "\"a\nb\nc\"d",
                "record on line 1; parse error on line 3, column 2: extraneous or missing \" in quoted-field",
            ),
        ] {
            assert_eq!(records(text).unwrap_err(), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a\",\n\r é]{0,40}") {
            let _ = records(&text);
        }

        #[test]
        fn what_is_written_in_quotes_is_read_back(fields in proptest::collection::vec("[a\",\n é]{0,8}", 1..5)) {
            let quoted: Vec<String> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
            prop_assert_eq!(records(&quoted.join(",")).unwrap(), vec![fields]);
        }
    }
}
