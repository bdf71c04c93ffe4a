//! Protobuf's JSON for the messages of every method, as etcd's gateway sets it up: names as in the protos, fields at
//! their default left out, 64-bit numbers as strings, unknown fields passed over.

use std::sync::LazyLock;

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions,
};
use tonic::Status;

use super::super::method::{METHODS, Method};

/// Messages of one method.
pub(super) struct Messages {
    pub(super) input: MessageDescriptor,
    pub(super) output: MessageDescriptor,
}

/// In the order of [`METHODS`].
static MESSAGES: LazyLock<Vec<Messages>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(proto::CLIENT_PORT_DESCRIPTORS)
        .expect("the descriptors are written by our own build");
    let messages = METHODS.iter().map(|method| {
        let service = pool.get_service_by_name(method.service.name());
        let found = service
            .and_then(|service| service.methods().find(|found| found.name() == method.name))
            .expect("every method is in the protos");
        Messages {
            input: found.input(),
            output: found.output(),
        }
    });
    messages.collect()
});

const READING: DeserializeOptions = DeserializeOptions::new().deny_unknown_fields(false);
const WRITING: SerializeOptions = SerializeOptions::new().use_proto_field_name(true);

pub(super) fn messages(method: &Method) -> &'static Messages {
    &MESSAGES[method.index]
}

/// The encoded message of one JSON value.
pub(super) fn encode_request(method: &Method, json: &[u8]) -> Result<Vec<u8>, Status> {
    let message = read(&messages(method).input, json)
        .map_err(|error| Status::invalid_argument(format!("proto: {error}")))?;
    Ok(message.encode_to_vec())
}

/// One answer as JSON, in the frame of a stream's line when it is one.
pub(super) fn write_answer(
    method: &Method,
    message: Bytes,
    (before, after): (&str, &str),
) -> Result<Vec<u8>, Status> {
    let output = messages(method).output.clone();
    let message = DynamicMessage::decode(output, message).map_err(broken)?;
    let mut json = before.as_bytes().to_vec();
    write(&message, &mut json).map_err(broken)?;
    json.extend_from_slice(after.as_bytes());
    Ok(json)
}

/// An answer of ours that cannot be put into JSON.
fn broken(error: impl std::fmt::Display) -> Status {
    Status::internal(format!("the answer has no JSON form: {error}"))
}

pub(super) fn read(
    message: &MessageDescriptor,
    json: &[u8],
) -> Result<DynamicMessage, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let message = DynamicMessage::deserialize_with_options(message.clone(), &mut reader, &READING)?;
    reader.end()?;
    Ok(message)
}

pub(super) fn write(message: &DynamicMessage, json: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    message.serialize_with_options(&mut serde_json::Serializer::new(json), &WRITING)
}
