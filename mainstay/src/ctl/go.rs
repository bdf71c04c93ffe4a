//! Numbers as Go programs print them.

use std::time::Duration;

/// Go's `%q`: quotation marks around text, and escapes for what cannot be seen or is no UTF-8.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        chunk
            .valid()
            .chars()
            .for_each(|letter| push_quoted(&mut text, letter));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text.push('"');
    text
}

fn push_quoted(text: &mut String, letter: char) {
    let short = match letter {
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{b}' => 'v',
        '"' | '\\' => letter,
        control if control.is_ascii_control() => {
            text.push_str(&format!("\\x{:02x}", u32::from(control)));
            return;
        }
        plain => {
            text.push(plain);
            return;
        }
    };
    text.push('\\');
    text.push(short);
}

/// `time.Duration`'s text below one minute: `1.5ms`.
pub(super) fn duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let (unit, name) = match nanoseconds {
        0 => return "0s".to_owned(),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let (whole, rest) = (nanoseconds / unit, nanoseconds % unit);
    if rest == 0 {
        return format!("{whole}{name}");
    }
    let digits = unit.ilog10() as usize;
    let fraction = format!("{rest:0digits$}");
    format!("{whole}.{}{name}", fraction.trim_end_matches('0'))
}

/// go-humanize's `Bytes`: powers of a thousand, one decimal below ten.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut unit = 1_000_u64;
    let mut index = 0;
    while bytes / unit >= 1_000 {
        unit *= 1_000;
        index += 1;
    }
    // Rounded to a tenth of the unit.
    let tenths = (u128::from(bytes) * 20 + u128::from(unit)) / (u128::from(unit) * 2);
    if tenths < 100 {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[index])
    } else {
        // `%.0f` rounds a half to the even neighbour.
        let (whole, rest) = (tenths / 10, tenths % 10);
        let up = rest > 5 || rest == 5 && whole % 2 == 1;
        format!("{} {}", whole + u128::from(up), UNITS[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_drop_trailing_zeros() {
        for (nanoseconds, text) in [
            (999, "999ns"),
            (1_500, "1.5µs"),
            (1_547_680, "1.54768ms"),
            (1_060_000, "1.06ms"),
            (2_000_000_000, "2s"),
            (1_000_000_001, "1.000000001s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanoseconds)), text);
        }
    }

    #[test]
    fn text_is_quoted_with_gos_escapes() {
        let text = quoted(b"a\"\\\n\0\x1b\x7f\xc3\xa9\xff");
        assert_eq!(text, r#""a\"\\\n\x00\x1b\x7fé\xff""#);
    }

    #[test]
    fn bytes_have_one_decimal_below_ten() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (4_096, "4.1 kB"),
            (20_480, "20 kB"),
            (2_147_483_648, "2.1 GB"),
            (404_000_000, "404 MB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
