//! Which addresses services have, and out of which ranges: `IPAddress` and `ServiceCIDR`.

use std::net::IpAddr;

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::Value;

use crate::kinds::{AGE, Column, NAME, NameRule, Rules, age, checks, read};

pub(in crate::kinds) struct IpAddresses;

impl Rules for IpAddresses {
    fn name_rule(&self) -> NameRule {
        canonical_ip
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("spec").child("parentRef");
        let Some(parent) = object.at("spec.parentRef") else {
            return vec![Error::required(&path, "")];
        };
        let mut errors = Vec::new();
        let part = |name: &str| read::text(parent.get(name));
        if !part("group").is_empty() {
            checks::name(names::subdomain, part("group"), &path.child("group"), &mut errors);
        }
        for field in ["resource", "name"] {
            checks::required_name(names::path_segment, part(field), &path.child(field), &mut errors);
        }
        checks::name(
            names::path_segment,
            part("namespace"),
            &path.child("namespace"),
            &mut errors,
        );
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let path = Path::new("spec").child("parentRef");
        checks::immutable(new.at("spec.parentRef"), old.at("spec.parentRef"), &path, &mut errors);
        errors
    }

    fn fields(&self) -> &'static [&'static str] {
        &[
            "spec.parentRef.name",
            "spec.parentRef.namespace",
            "spec.parentRef.resource",
        ]
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[NAME, Column::text("ParentRef", "Whose address it is.")];
        COLUMNS
    }

    fn cells(&self, object: &Object, _now: Timestamp) -> Vec<Value> {
        let part = |name: &str| read::text(read::at(object.at("spec.parentRef"), name));
        let resource = match part("group") {
            "" => part("resource").to_owned(),
            group => format!("{}.{group}", part("resource")),
        };
        let parent = [resource.as_str(), part("namespace"), part("name")];
        let parent: Vec<&str> = parent.into_iter().filter(|part| !part.is_empty()).collect();
        vec![object.name().into(), parent.join("/").into()]
    }
}

/// An address written as everybody writes it, so that each has one name.
fn canonical_ip(name: &str) -> Vec<String> {
    match name.parse::<IpAddr>() {
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()],
        Ok(ip) if ip.to_string() != name => vec![format!("must be in canonical form (\"{ip}\")")],
        Ok(_) => Vec::new(),
    }
}

pub(in crate::kinds) struct ServiceCidrs;

impl Rules for ServiceCidrs {
    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        check_ranges(object, &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let path = Path::new("spec").child("cidrs");
        let (after, before) = (read::texts(new.at("spec.cidrs")), read::texts(old.at("spec.cidrs")));
        let mut errors = Vec::new();
        let widened = before.len() == 1 && after.len() == 2;
        if after.len() != before.len() && !widened {
            errors.push(Error::invalid(&path, after, "field is immutable"));
            return errors;
        }
        for (index, (after, _)) in after
            .iter()
            .zip(&before)
            .enumerate()
            .filter(|(_, (after, before))| after != before)
        {
            errors.push(Error::invalid(&path.index(index), *after, "field is immutable"));
        }
        if widened {
            check_ranges(new, &mut errors);
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[NAME, Column::text("CIDRs", "The ranges."), AGE];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let ranges = read::texts(object.at("spec.cidrs")).join(",");
        vec![object.name().into(), ranges.into(), age(object, now).into()]
    }
}

fn check_ranges(object: &Object, errors: &mut Vec<Error>) {
    let path = Path::new("spec").child("cidrs");
    let ranges = read::texts(object.at("spec.cidrs"));
    match ranges.as_slice() {
        [] => errors.push(Error::required(&path, "at least one CIDR required")),
        [_, _, _, ..] => {
            let spec = object.at("spec").cloned().unwrap_or_default();
            errors.push(Error::invalid(&path, spec, "may only hold up to 2 values"));
        }
        some => {
            for (index, range) in some.iter().enumerate() {
                checks::canonical_cidr(range, &path.index(index), errors);
            }
            if let [one, other] = some
                && let (Some(one), Some(other)) = (checks::parsed_cidr(one), checks::parsed_cidr(other))
                && one.is_v4() == other.is_v4()
            {
                let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
                errors.push(Error::invalid(&path, ranges.clone(), detail));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, updated};
    use serde_json::json;

    #[test]
    fn addresses_belong_to_somebody() {
        let address = json!({"metadata": {"name": "10.0.0.1"}, "spec": {"parentRef": {"resource": "services", "name": "s", "namespace": "n"}}});
        assert_eq!(created("IPAddress", address.clone()), Vec::<String>::new());
        assert_eq!(created("IPAddress", json!({})), ["spec.parentRef: Required value"]);
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        assert_eq!(
            IpAddresses.cells(&decoded("IPAddress", address), now)[1],
            "services/n/s"
        );
        assert_eq!(canonical_ip("10.0.0.1"), Vec::<String>::new());
        assert_eq!(
            canonical_ip("2001:DB8::1"),
            ["must be in canonical form (\"2001:db8::1\")"]
        );
        assert!(canonical_ip("a")[0].starts_with("must be a valid IP address"));
    }

    #[test]
    fn ranges_are_one_of_each_family_and_stay() {
        let ranges = |ranges: &[&str]| json!({"metadata": {"name": "r"}, "spec": {"cidrs": ranges}});
        for (given, expected) in [
            (&["10.0.0.0/24"] as &[&str], vec![]),
            (&["10.0.0.0/24", "fd00::/112"], vec![]),
            (&[], vec!["spec.cidrs: Required value: at least one CIDR required"]),
            (
                &["10.0.0.1/24"],
                vec!["spec.cidrs[0]: Invalid value: \"10.0.0.1/24\": must not have bits set beyond the prefix length"],
            ),
            (
                &["10.0.0.0/24", "10.1.0.0/24"],
                vec![
                    "spec.cidrs: Invalid value: [\"10.0.0.0/24\",\"10.1.0.0/24\"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
                ],
            ),
        ] {
            assert_eq!(created("ServiceCIDR", ranges(given)), expected);
        }
        let (one, two) = (ranges(&["10.0.0.0/24"]), ranges(&["10.0.0.0/24", "fd00::/112"]));
        assert_eq!(updated("ServiceCIDR", one.clone(), two.clone()), Vec::<String>::new());
        assert_eq!(
            updated("ServiceCIDR", two, one),
            ["spec.cidrs: Invalid value: [\"10.0.0.0/24\"]: field is immutable"]
        );
    }
}
