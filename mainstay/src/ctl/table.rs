//! Tables drawn with plus, minus and bar.

/// Headings are centred; numbers and truth values lean right, texts are centred as etcdctl has them.
pub(super) fn draw(headings: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..headings.len())
        .map(|column| {
            let cells = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            cells.chain([headings[column].len()]).max().unwrap_or(0)
        })
        .collect();
    let rule: String = widths
        .iter()
        .map(|width| format!("+{}", "-".repeat(width + 2)))
        .collect::<String>()
        + "+\n";
    let mut text = rule.clone();
    let line = |cells: &[String]| -> String {
        let cells = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("| {cell:>width$} "));
        cells.collect::<String>() + "|\n"
    };
    let centred: Vec<String> = headings
        .iter()
        .zip(&widths)
        .map(|(heading, width)| centre(heading, *width))
        .collect();
    text.push_str(&line(&centred));
    text.push_str(&rule);
    for row in rows {
        text.push_str(&line(row));
    }
    text.push_str(&rule);
    text
}

/// The odd space goes to the right.
fn centre(text: &str, width: usize) -> String {
    let left = (width - text.len()) / 2;
    format!(
        "{}{text}{}",
        " ".repeat(left),
        " ".repeat(width - text.len() - left)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_widest_cells() {
        let table = draw(
            &["ENDPOINT", "HASH"],
            &[vec!["a:1".to_owned(), "854287732".to_owned()]],
        );
        let expected = "\
+----------+-----------+
| ENDPOINT |   HASH    |
+----------+-----------+
|      a:1 | 854287732 |
+----------+-----------+
";
        assert_eq!(table, expected);
    }
}
