//! CRI messages inside of JSON records: as base64 of their protobuf bytes, so that fields which this version doesn't know are
//! the only ones lost.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn serialize<M: Message, S: Serializer>(message: &M, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(message.encode_to_vec()))
}

pub(super) fn deserialize<'de, M: Message + Default, D: Deserializer<'de>>(deserializer: D) -> Result<M, D::Error> {
    let bytes = STANDARD
        .decode(String::deserialize(deserializer)?)
        .map_err(D::Error::custom)?;
    M::decode(bytes.as_slice()).map_err(D::Error::custom)
}
