//! Protocol buffers by hand: the few field kinds etcd's messages are made of.

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

/// Appends a varint.
pub fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a bytes or string field; an empty one is left out, as proto3 does.
pub fn bytes_field(field: u64, value: &[u8], out: &mut Vec<u8>) {
    if !value.is_empty() {
        varint(field << 3 | LENGTH_DELIMITED, out);
        varint(value.len() as u64, out);
        out.extend_from_slice(value);
    }
}

/// Appends an integer field even when it is zero: members of a oneof need that.
pub fn integer_field_always(field: u64, value: i64, out: &mut Vec<u8>) {
    varint(field << 3 | VARINT, out);
    varint(value.cast_unsigned(), out);
}

/// Appends an integer, enum or bool field; zero is left out.
pub fn integer_field(field: u64, value: i64, out: &mut Vec<u8>) {
    if value != 0 {
        integer_field_always(field, value, out);
    }
}

/// Appends a message field with what `content` writes.
pub fn message_field(field: u64, out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    varint(field << 3 | LENGTH_DELIMITED, out);
    let start = out.len();
    content(out);
    let end = out.len();
    varint((end - start) as u64, out);
    let prefix = out.len() - end;
    out[start..].rotate_right(prefix);
}

/// The content of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Integer(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub fn integer(self) -> i64 {
        match self {
            Value::Integer(value) => value.cast_signed(),
            Value::Bytes(_) => 0,
        }
    }

    pub fn bytes(self) -> &'a [u8] {
        match self {
            Value::Bytes(value) => value,
            Value::Integer(_) => &[],
        }
    }
}

/// Walks the fields of a message; stops at the end or at the first malformed byte.
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// The fields of a message in the order they stand there.
pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

/// The last field with this number, as proto3 reads single fields.
pub fn find(message: &[u8], field: u64) -> Option<Value<'_>> {
    fields(message)
        .filter(|(number, _)| *number == field)
        .last()
        .map(|(_, value)| value)
}

impl<'a> Fields<'a> {
    fn read_varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.read_varint()?;
        let value = match key & 7 {
            VARINT => Value::Integer(self.read_varint()?),
            FIXED64 => Value::Bytes(self.take(8)?),
            FIXED32 => Value::Bytes(self.take(4)?),
            LENGTH_DELIMITED => {
                let length = self.read_varint()?;
                Value::Bytes(self.take(usize::try_from(length).ok()?)?)
            }
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_written() {
        let mut out = Vec::new();
        integer_field(3, -5, &mut out);
        integer_field(4, 0, &mut out);
        message_field(7, &mut out, |inner| bytes_field(1, &[9; 300], inner));
        let read: Vec<_> = fields(&out).collect();
        assert_eq!(read[0], (3, Value::Integer((-5_i64).cast_unsigned())));
        assert_eq!(read.len(), 2);
        assert_eq!(find(read[1].1.bytes(), 1).unwrap().bytes(), [9; 300]);
    }

    #[test]
    fn a_cut_message_ends_the_walk() {
        let mut out = Vec::new();
        bytes_field(1, b"abc", &mut out);
        assert_eq!(fields(&out[..3]).count(), 0);
    }
}
