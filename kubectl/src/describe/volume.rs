//! The volumes of a pod or a template, and what they are made of.

use serde_json::Value;

use super::container::deeper;
use super::sheet::{Sheet, items, or, plain};

/// Volumes; `inside` is the indentation of what they stand in, which is a template or nothing.
pub fn volumes(sheet: &mut Sheet, inside: &str, volumes: &[Value]) {
    if volumes.is_empty() {
        sheet.line(0, &format!("{inside}Volumes:\t<none>"));
        return;
    }
    sheet.line(0, &format!("{inside}Volumes:"));
    for volume in volumes {
        sheet.line(1, &format!("{}{}:", deeper(inside), plain(&volume["name"])));
        let Some((kind, source)) = volume
            .as_object()
            .and_then(|map| map.iter().find(|(name, _)| *name != "name"))
        else {
            sheet.field(2, "Type", "<unknown>");
            continue;
        };
        volume_source(sheet, kind, source);
    }
}

/// What a volume is made of.
pub fn volume_source(sheet: &mut Sheet, kind: &str, source: &Value) {
    match kind {
        "emptyDir" => {
            sheet.field(
                2,
                "Type",
                "EmptyDir (a temporary directory that shares a pod's lifetime)",
            );
            sheet.field(2, "Medium", &plain(&source["medium"]));
            sheet.field(2, "SizeLimit", or(&source["sizeLimit"], "<unset>"));
        }
        "hostPath" => {
            sheet.field(2, "Type", "HostPath (bare host directory volume)");
            sheet.field(2, "Path", &plain(&source["path"]));
            let kind = match &source["type"] {
                Value::Null => "<none>".to_owned(),
                kind => plain(kind),
            };
            sheet.field(2, "HostPathType", &kind);
        }
        "configMap" => {
            sheet.field(2, "Type", "ConfigMap (a volume populated by a ConfigMap)");
            sheet.field(2, "Name", &plain(&source["name"]));
            sheet.field(2, "Optional", &(source["optional"] == true).to_string());
        }
        "secret" => {
            sheet.field(2, "Type", "Secret (a volume populated by a Secret)");
            sheet.field(2, "SecretName", &plain(&source["secretName"]));
            sheet.field(2, "Optional", &(source["optional"] == true).to_string());
        }
        "downwardAPI" => {
            sheet.field(
                2,
                "Type",
                "DownwardAPI (a volume populated by information about the pod)",
            );
            sheet.line(2, "Items:");
            for item in items(&source["items"]) {
                let field = &item["fieldRef"]["fieldPath"];
                let resource = &item["resourceFieldRef"]["resource"];
                let from = if field.is_null() { plain(resource) } else { plain(field) };
                sheet.line(3, &format!("{from} -> {}", plain(&item["path"])));
            }
        }
        "persistentVolumeClaim" => {
            sheet.field(
                2,
                "Type",
                "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
            );
            sheet.field(2, "ClaimName", &plain(&source["claimName"]));
            sheet.field(2, "ReadOnly", &(source["readOnly"] == true).to_string());
        }
        "projected" => {
            sheet.field(
                2,
                "Type",
                "Projected (a volume that contains injected data from multiple sources)",
            );
            for part in items(&source["sources"]) {
                if part["serviceAccountToken"].is_object() {
                    sheet.field(
                        2,
                        "TokenExpirationSeconds",
                        &plain(&part["serviceAccountToken"]["expirationSeconds"]),
                    );
                }
                for (field, label) in [("configMap", "ConfigMapName"), ("secret", "SecretName")] {
                    if part[field].is_object() {
                        sheet.field(2, label, &plain(&part[field]["name"]));
                    }
                }
                if part["downwardAPI"].is_object() {
                    sheet.field(2, "DownwardAPI", "true");
                }
            }
        }
        other => sheet.field(2, "Type", other),
    }
}
