//! ServiceAccounts: an identity for pods. Tokens are made elsewhere.

use jiff::Timestamp;
use minik_api::object::Object;
use serde_json::Value;

use super::{AGE, Column, NAME, Rules, age};

pub(super) struct ServiceAccounts;

impl Rules for ServiceAccounts {
    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Secrets", "How many secrets it names.").number(),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let secrets = object.at("secrets").and_then(Value::as_array).map_or(0, Vec::len);
        vec![object.name().into(), secrets.into(), age(object, now).into()]
    }
}
