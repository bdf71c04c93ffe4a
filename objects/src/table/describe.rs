//! What the columns mean, in a few words for clients that show them.

/// The description of a column.
pub(super) fn column(name: &str) -> &'static str {
    DESCRIPTIONS
        .iter()
        .find(|(column, _)| *column == name)
        .map_or("", |(_, text)| text)
}

const DESCRIPTIONS: &[(&str, &str)] = &[
    ("Name", "The name of the object."),
    ("Age", "How long ago the object was created."),
    ("Created At", "When the object was created."),
];
