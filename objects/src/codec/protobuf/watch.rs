//! Events of a watch in protobuf: each in a frame with its length before it.

use super::wire::{Reader, Wire, Writer};
use super::{Error, decode, encode};
use crate::Value;

/// Bytes of a frame; client-go takes no more.
pub const FRAME_SIZE_MAX: usize = 16 * 1024 * 1024;

const LENGTH_SIZE: usize = 4;

/// Writes an event with its frame.
///
/// # Errors
///
/// If the object's kind has no protobuf.
pub fn write(kind: &str, object: &Value) -> Result<Vec<u8>, Error> {
    Ok(write_encoded(kind, &encode(object)?))
}

/// As `write`, of an object that is encoded already.
#[must_use]
pub fn write_encoded(kind: &str, object: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.bytes(1, kind.as_bytes());
    writer.message(2, |writer| writer.bytes(1, object));
    let length = u32::try_from(writer.bytes.len()).expect("an object is smaller than 4 GiB");
    let mut frame = length.to_be_bytes().to_vec();
    frame.append(&mut writer.bytes);
    frame
}

/// Takes the content of the first frame off; none if it is not all there yet.
///
/// # Errors
///
/// If the frame is longer than any may be.
pub fn take_frame<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Error> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_SIZE>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length > FRAME_SIZE_MAX {
        return Err(Error::Frame(FRAME_SIZE_MAX));
    }
    let Some((frame, rest)) = rest.split_at_checked(length) else {
        return Ok(None);
    };
    *bytes = rest;
    Ok(Some(frame))
}

/// Reads what is in a frame: what happened, and the object.
///
/// # Errors
///
/// If it is no event, or its object is of no known kind.
pub fn read(frame: &[u8]) -> Result<(String, Value), Error> {
    let (mut kind, mut object) = (String::new(), Value::Null);
    let mut reader = Reader::new(frame);
    while let Some(field) = reader.field()? {
        match field {
            (1, Wire::Bytes(text)) => kind = String::from_utf8_lossy(text).into_owned(),
            (2, Wire::Bytes(raw)) => {
                let mut reader = Reader::new(raw);
                while let Some(field) = reader.field()? {
                    if let (1, Wire::Bytes(bytes)) = field {
                        object = decode(bytes)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok((kind, object))
}
