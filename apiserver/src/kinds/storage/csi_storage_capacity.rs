//! CSI storage capacity: how much room a driver has for a class in a part of the cluster.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use minik_api::quantity::Quantity;
use serde_json::Value;

use crate::kinds::{Column, NAME, Rules, checks, read};

pub(in crate::kinds) struct CsiStorageCapacities;

impl Rules for CsiStorageCapacities {
    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let topology = read::typed(object.body.get("nodeTopology"));
        checks::label_selector(topology.as_ref(), &Path::new("nodeTopology"), &mut errors);
        let class = read::text(object.body.get("storageClassName"));
        checks::name(names::subdomain, class, &Path::new("storageClassName"), &mut errors);
        let capacity = read::text(object.body.get("capacity")).parse::<Quantity>();
        if let Some(capacity) = capacity.ok().filter(|capacity| capacity.is_negative()) {
            let detail = "must be greater than or equal to 0";
            errors.push(Error::invalid(&Path::new("capacity"), capacity.to_string(), detail));
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        for field in ["nodeTopology", "storageClassName"] {
            checks::immutable(new.body.get(field), old.body.get(field), &Path::new(field), &mut errors);
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("StorageClassName", "For which class."),
            Column::text("Capacity", "How much room there is."),
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, _now: Timestamp) -> Vec<Value> {
        let capacity = read::text(object.body.get("capacity"));
        let class = read::text(object.body.get("storageClassName"));
        vec![
            object.name().into(),
            class.into(),
            if capacity.is_empty() { "<unset>" } else { capacity }.into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{created, updated, with};
    use serde_json::json;

    #[test]
    fn the_room_may_change_and_nothing_else() {
        let capacity =
            json!({"metadata": {"name": "c", "namespace": "default"}, "storageClassName": "fast", "capacity": "10Gi"});
        assert_eq!(created("CSIStorageCapacity", capacity.clone()), Vec::<String>::new());
        assert_eq!(
            created("CSIStorageCapacity", with(capacity.clone(), "/capacity", json!("-1"))),
            ["capacity: Invalid value: \"-1\": must be greater than or equal to 0"]
        );
        let more = with(capacity.clone(), "/capacity", json!("20Gi"));
        assert_eq!(
            updated("CSIStorageCapacity", capacity.clone(), more),
            Vec::<String>::new()
        );
        assert_eq!(
            updated(
                "CSIStorageCapacity",
                capacity.clone(),
                with(capacity, "/storageClassName", json!("slow"))
            ),
            ["storageClassName: Invalid value: \"slow\": field is immutable"]
        );
    }
}
