//! What upstream says about the fields of Kubernetes' built-in kinds: a table in the binary, read where it is and never loaded.

use objects::openapi::Descriptions;

/// Lines of type, field and text in JSON's escapes, sorted.
const TABLE: &str = include_str!(concat!(env!("OUT_DIR"), "/table.txt"));

/// The texts of the built-in kinds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Builtin;

impl Descriptions for Builtin {
    fn of(&self, type_name: &str, field: &str) -> Option<String> {
        let key = (type_name, field);
        let (mut low, mut high) = (0, TABLE.len());
        while low < high {
            let middle = TABLE.floor_char_boundary(low + (high - low) / 2);
            let start = TABLE[low..middle]
                .rfind('\n')
                .map_or(low, |at| low + at + 1);
            let end = TABLE[middle..high]
                .find('\n')
                .map_or(high, |at| middle + at + 1);
            let mut words = TABLE[start..end].trim_end().splitn(3, '\t');
            let found = (words.next()?, words.next()?);
            match found.cmp(&key) {
                std::cmp::Ordering::Equal => return serde_json::from_str(words.next()?).ok(),
                std::cmp::Ordering::Less => low = end,
                std::cmp::Ordering::Greater => high = start,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_and_a_field_have_their_texts() {
        let spec = "io.k8s.api.core.v1.PodSpec";
        assert_eq!(
            Builtin.of(spec, "").as_deref(),
            Some("PodSpec is a description of a pod.")
        );
        assert!(
            Builtin
                .of(spec, "containers")
                .is_some_and(|text| text.starts_with("List of containers"))
        );
        assert_eq!(Builtin.of(spec, "nope"), None);
        assert_eq!(Builtin.of("nope", ""), None);
        assert_eq!(Builtin.of("zzz", "zzz"), None);
    }

    #[test]
    fn every_line_is_found_by_its_words() {
        for line in TABLE.lines() {
            let words: Vec<&str> = line.splitn(3, '\t').collect();
            assert!(Builtin.of(words[0], words[1]).is_some(), "{line}");
        }
    }
}
