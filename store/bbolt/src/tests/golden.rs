//! Bytes that are pinned: a file of our writer, and one that bbolt made.

use std::fmt::Write as _;

use super::{Content, read, write};

/// Lines of 16 bytes that are not all zero, behind their offsets.
fn dump(file: &[u8]) -> String {
    let mut text = format!("{:x} bytes\n", file.len());
    for (index, line) in file.chunks(16).enumerate() {
        if line.iter().any(|byte| *byte != 0) {
            let hex: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "{:05x} {hex}", index * 16).unwrap();
        }
    }
    text
}

/// The inverse of [`dump`].
fn undump(text: &str) -> Vec<u8> {
    let mut lines = text.lines();
    let length = lines.next().unwrap().strip_suffix(" bytes").unwrap();
    let mut file = vec![0; usize::from_str_radix(length, 16).unwrap()];
    for line in lines {
        let (offset, hex) = line.split_once(' ').unwrap();
        let offset = usize::from_str_radix(offset, 16).unwrap();
        for at in 0..hex.len() / 2 {
            file[offset + at] = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        }
    }
    file
}

fn content() -> Content {
    let pairs = |pairs: &[(&str, &str)]| {
        let own = |text: &str| text.as_bytes().to_vec();
        pairs
            .iter()
            .map(|(key, value)| (own(key), own(value)))
            .collect()
    };
    Content::from([
        (b"empty".to_vec(), pairs(&[])),
        (b"small".to_vec(), pairs(&[("a", "1"), ("b", "")])),
        (
            b"wide".to_vec(),
            (0..300_u32)
                .map(|number| (format!("{number:04}").into_bytes(), b"value".to_vec()))
                .collect(),
        ),
    ])
}

#[test]
fn the_bytes_of_a_written_file_are_pinned() {
    let written = dump(&write(&content()));
    let pinned = include_str!("../../testdata/written.hex");
    assert!(written == pinned, "the file is now\n{written}");
}

/// Made with bbolt 1.4.3 from the same content: two of its buckets lie inside the root's leaf, and pages are half full.
#[test]
fn a_file_of_bbolt_is_read() {
    let file = undump(include_str!("../../testdata/bbolt-1.4.3.hex"));
    assert_eq!(read(&file).unwrap(), content());
}
