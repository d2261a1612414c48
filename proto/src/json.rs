//! The JSON form of every message, from its descriptor.
//!
//! Field names are those of the .proto files, enums are names, 64-bit integers are numbers, and
//! fields with their default value are written too. Unknown fields are refused on reading.

use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::SerializeOptions;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(crate::DESCRIPTORS).expect("the build script wrote these descriptors")
});

/// Why JSON is no valid message.
#[derive(Debug)]
pub struct JsonError(String);

impl std::fmt::Display for JsonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for JsonError {}

/// Returns the descriptors of all services and messages.
pub fn descriptor_pool() -> &'static DescriptorPool {
    &POOL
}

/// Returns the JSON form of a message.
pub fn to_value<M: Message + Name>(message: &M) -> serde_json::Value {
    let descriptor = POOL
        .get_message_by_name(&M::full_name())
        .expect("every generated message is in the pool");
    dynamic_to_value(descriptor, &message.encode_to_vec())
        .expect("a message that was just encoded decodes")
}

/// Reads a message from its JSON form.
///
/// # Errors
/// Says what is wrong with the text: syntax, an unknown field, a wrong type.
pub fn from_slice<M: Message + Name + Default>(json: &[u8]) -> Result<M, JsonError> {
    let descriptor = POOL
        .get_message_by_name(&M::full_name())
        .expect("every generated message is in the pool");
    let encoded = encode_json(descriptor, json)?;
    M::decode(encoded.as_slice()).map_err(|error| JsonError(error.to_string()))
}

/// Turns JSON into the binary form of the message that `descriptor` describes.
///
/// # Errors
/// Says what is wrong with the text.
pub fn encode_json(descriptor: MessageDescriptor, json: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let message = DynamicMessage::deserialize_with_options(descriptor, &mut deserializer, &options)
        .map_err(|error| JsonError(error.to_string()))?;
    deserializer
        .end()
        .map_err(|error| JsonError(error.to_string()))?;
    Ok(message.encode_to_vec())
}

/// Turns the binary form of the message that `descriptor` describes into JSON.
///
/// # Errors
/// Where the bytes are no such message.
pub fn dynamic_to_value(
    descriptor: MessageDescriptor,
    encoded: &[u8],
) -> Result<serde_json::Value, JsonError> {
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .stringify_64_bit_integers(false)
        .skip_default_fields(false);
    DynamicMessage::decode(descriptor, encoded)
        .map_err(|error| JsonError(error.to_string()))?
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| JsonError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{JobKey, Task, TaskState};

    #[test]
    fn message_survives_the_way_through_json() {
        let task = Task {
            task_id: "www-data-prod-web-0-1".into(),
            job: Some(JobKey {
                role: "www-data".into(),
                environment: "prod".into(),
                name: "web".into(),
            }),
            state: TaskState::Running.into(),
            ..Task::default()
        };
        let json = to_value(&task);
        assert_eq!(json["state"], "RUNNING");
        assert_eq!(json["job"]["environment"], "prod");
        assert_eq!(
            from_slice::<Task>(json.to_string().as_bytes()).unwrap(),
            task
        );
    }

    #[test]
    fn unknown_field_is_refused_by_name() {
        let error = from_slice::<JobKey>(br#"{"rolle": "x"}"#).unwrap_err();
        assert!(error.to_string().contains("rolle"), "{error}");
    }
}
