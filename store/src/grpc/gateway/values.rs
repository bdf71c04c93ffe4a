//! Cuts what arrives of a body into JSON objects, looking at each byte once.

use bytes::{Buf, Bytes, BytesMut};
use tonic::Status;

/// Bytes that have arrived and are not cut yet.
#[derive(Debug, Default)]
pub(super) struct Values {
    pending: BytesMut,
    /// How many of `pending` belong to the object that is being looked at.
    seen: usize,
    /// Braces and brackets that are open in it.
    depth: usize,
    place: Place,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    String,
    /// Behind a backslash.
    Escape,
}

impl Values {
    pub(super) fn extend(&mut self, bytes: impl Buf) {
        use bytes::BufMut;
        self.pending.put(bytes);
    }

    /// Bytes that wait for the end of their object.
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether nothing is left but space.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.iter().all(|byte| is_space(*byte))
    }

    /// The next whole object; none until more has arrived.
    ///
    /// # Errors
    /// When what follows is no object: a message always is one.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Status> {
        if self.seen == 0 {
            let spaces = self.pending.iter().take_while(|byte| is_space(**byte));
            let spaces = spaces.count();
            self.pending.advance(spaces);
            match self.pending.first() {
                None => return Ok(None),
                Some(b'{') => {}
                Some(other) => return Err(no_object(*other)),
            }
        }
        while let Some(byte) = self.pending.get(self.seen) {
            self.seen += 1;
            if self.ends_object(*byte) {
                let object = self.pending.split_to(self.seen).freeze();
                self.seen = 0;
                return Ok(Some(object));
            }
        }
        Ok(None)
    }

    fn ends_object(&mut self, byte: u8) -> bool {
        self.place = match (self.place, byte) {
            (Place::Escape, _) | (Place::Outside, b'"') => Place::String,
            (Place::String, b'"') => Place::Outside,
            (Place::String, b'\\') => Place::Escape,
            (place, _) => place,
        };
        if self.place != Place::Outside {
            return false;
        }
        match byte {
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn no_object(first: u8) -> Status {
    let first = char::from(first).escape_default();
    Status::invalid_argument(format!(
        "proto: syntax error: a message is a JSON object, which begins with {{, not with {first}"
    ))
}

/// The body ended in the middle of an object.
pub(super) fn unexpected_end() -> Status {
    Status::invalid_argument("unexpected EOF")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_cut_wherever_the_pieces_end() {
        let body = br#" {"a":"}\"{","b":[{},[]]}
{}{"c":"\\"} "#;
        for piece_bytes in 1..body.len() {
            let mut values = Values::default();
            let mut found = Vec::new();
            for piece in body.chunks(piece_bytes) {
                values.extend(piece);
                while let Some(value) = values.next().unwrap() {
                    found.push(String::from_utf8(value.to_vec()).unwrap());
                }
            }
            let wanted = [r#"{"a":"}\"{","b":[{},[]]}"#, "{}", r#"{"c":"\\"}"#];
            assert_eq!(found, wanted);
            assert!(values.is_empty());
        }
    }

    #[test]
    fn half_an_object_is_waited_for() {
        let mut values = Values::default();
        values.extend(&br#"{"key":"#[..]);
        assert_eq!(values.next().unwrap(), None);
        assert!(!values.is_empty());
        assert_eq!(values.len(), 7);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in ["[]", "null", "1", "}", "\"", "\u{0}"] {
            let mut values = Values::default();
            values.extend(body.as_bytes());
            assert!(values.next().is_err(), "{body:?}");
        }
    }
}
