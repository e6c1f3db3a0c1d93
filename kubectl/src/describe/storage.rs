//! Volumes, claims and storage classes.

use serde_json::Value;

use super::sheet::{Sheet, capital, date, items, or, plain};
use super::volume;
use crate::print::{age, table};

/// A claim, and the pods that use it.
pub fn claim(sheet: &mut Sheet, object: &Value, pods: &[Value]) {
    let (spec, status) = (&object["spec"], &object["status"]);
    sheet.metadata(object, true);
    sheet.field(0, "StorageClass", &plain(&spec["storageClassName"]));
    phase(sheet, object);
    sheet.field(0, "Volume", &plain(&spec["volumeName"]));
    sheet.labels_and_annotations(object);
    finalizers(sheet, object);
    let is_bound = !plain(&spec["volumeName"]).is_empty();
    let (capacity, modes) = if is_bound {
        (
            plain(&status["capacity"]["storage"]),
            access_modes(&status["accessModes"]),
        )
    } else {
        (String::new(), String::new())
    };
    sheet.field(0, "Capacity", &capacity);
    sheet.field(0, "Access Modes", &modes);
    sheet.field_if(0, "VolumeMode", &spec["volumeMode"]);
    let source = &spec["dataSource"];
    if source.is_object() {
        sheet.line(0, "DataSource:");
        sheet.field_if(1, "APIGroup", &source["apiGroup"]);
        sheet.field(1, "Kind", &plain(&source["kind"]));
        sheet.field(1, "Name", &plain(&source["name"]));
    }
    let names: Vec<String> = pods.iter().map(|pod| plain(&pod["metadata"]["name"])).collect();
    let mut label = "Used By:";
    for name in &names {
        sheet.line(0, &format!("{label}\t{name}"));
        label = "";
    }
    if names.is_empty() {
        sheet.field(0, "Used By", "<none>");
    }
}

pub fn volume(sheet: &mut Sheet, object: &Value) {
    let spec = &object["spec"];
    sheet.metadata(object, false);
    sheet.labels_and_annotations(object);
    finalizers(sheet, object);
    sheet.field(0, "StorageClass", &plain(&spec["storageClassName"]));
    phase(sheet, object);
    let claim = &spec["claimRef"];
    let claim = if claim.is_object() {
        format!("{}/{}", plain(&claim["namespace"]), plain(&claim["name"]))
    } else {
        String::new()
    };
    sheet.field(0, "Claim", &claim);
    sheet.field(0, "Reclaim Policy", &plain(&spec["persistentVolumeReclaimPolicy"]));
    sheet.field(0, "Access Modes", &access_modes(&spec["accessModes"]));
    sheet.field_if(0, "VolumeMode", &spec["volumeMode"]);
    sheet.field(0, "Capacity", &plain(&spec["capacity"]["storage"]));
    affinity(sheet, &spec["nodeAffinity"]);
    sheet.field(0, "Message", &plain(&object["status"]["message"]));
    sheet.line(0, "Source:");
    if spec["hostPath"].is_object() {
        volume::volume_source(sheet, "hostPath", &spec["hostPath"]);
    } else if spec["local"].is_object() {
        sheet.field(
            2,
            "Type",
            "LocalVolume (a persistent volume backed by local storage on a node)",
        );
        sheet.field(2, "Path", &plain(&spec["local"]["path"]));
    } else if spec["nfs"].is_object() {
        let nfs = &spec["nfs"];
        sheet.field(2, "Type", "NFS (an NFS mount that lasts the lifetime of a pod)");
        sheet.field(2, "Server", &plain(&nfs["server"]));
        sheet.field(2, "Path", &plain(&nfs["path"]));
        sheet.field(2, "ReadOnly", &(nfs["readOnly"] == true).to_string());
    } else if spec["csi"].is_object() {
        let csi = &spec["csi"];
        sheet.field(2, "Type", "CSI (a Container Storage Interface (CSI) volume source)");
        sheet.field(2, "Driver", &plain(&csi["driver"]));
        sheet.field(2, "FSType", &plain(&csi["fsType"]));
        sheet.field(2, "VolumeHandle", &plain(&csi["volumeHandle"]));
        sheet.field(2, "ReadOnly", &(csi["readOnly"] == true).to_string());
    } else {
        sheet.line(1, "<unknown>");
    }
}

pub fn class(sheet: &mut Sheet, object: &Value) {
    let metadata = &object["metadata"];
    sheet.metadata(object, false);
    let is_default = [
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ]
    .iter()
    .any(|name| metadata["annotations"][*name] == "true");
    sheet.field(0, "IsDefaultClass", if is_default { "Yes" } else { "No" });
    sheet.field(0, "Annotations", &table::labels(&metadata["annotations"]));
    sheet.field(0, "Provisioner", &plain(&object["provisioner"]));
    sheet.field(0, "Parameters", &table::labels(&object["parameters"]));
    let expands = object["allowVolumeExpansion"].as_bool().map_or("<unset>", capital);
    sheet.field(0, "AllowVolumeExpansion", expands);
    let options = items(&object["mountOptions"]);
    if options.is_empty() {
        sheet.field(0, "MountOptions", "<none>");
    } else {
        sheet.line(0, "MountOptions:");
        options.iter().for_each(|option| sheet.line(1, &plain(option)));
    }
    sheet.field_if(0, "ReclaimPolicy", &object["reclaimPolicy"]);
    sheet.field_if(0, "VolumeBindingMode", &object["volumeBindingMode"]);
}

/// What a node's storage drivers say of it.
pub fn csi_node(sheet: &mut Sheet, object: &Value) {
    sheet.metadata(object, false);
    sheet.labels_and_annotations(object);
    sheet.field(0, "CreationTimestamp", &date(&object["metadata"]["creationTimestamp"]));
    sheet.line(0, "Spec:");
    let drivers = items(&object["spec"]["drivers"]);
    if !drivers.is_empty() {
        sheet.line(1, "Drivers:");
    }
    for driver in drivers {
        sheet.line(2, &format!("{}:", plain(&driver["name"])));
        sheet.field(3, "Node ID", &plain(&driver["nodeID"]));
        if driver["allocatable"]["count"].is_number() {
            sheet.line(3, "Allocatables:");
            sheet.field(4, "Count", &plain(&driver["allocatable"]["count"]));
        }
        if driver["topologyKeys"].is_array() {
            sheet.field(3, "Topology Keys", &format!("[{}]", plain(&driver["topologyKeys"])));
        }
    }
}

pub fn attributes_class(sheet: &mut Sheet, object: &Value) {
    sheet.metadata(object, false);
    sheet.field(0, "Annotations", &table::labels(&object["metadata"]["annotations"]));
    sheet.field(0, "DriverName", &plain(&object["driverName"]));
    sheet.field(0, "Parameters", &table::labels(&object["parameters"]));
}

fn phase(sheet: &mut Sheet, object: &Value) {
    let deleted = &object["metadata"]["deletionTimestamp"];
    if deleted.is_string() {
        let since = age::since(&plain(deleted), sheet.now);
        sheet.field(0, "Status", &format!("Terminating (lasts {since})"));
    } else {
        sheet.field(0, "Status", &plain(&object["status"]["phase"]));
    }
}

fn finalizers(sheet: &mut Sheet, object: &Value) {
    sheet.field(
        0,
        "Finalizers",
        &format!("[{}]", plain(&object["metadata"]["finalizers"])),
    );
}

/// `RWO,ROX,RWX,RWOP`, in kubectl's order.
fn access_modes(modes: &Value) -> String {
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let has = |mode: &str| items(modes).iter().any(|one| one == mode);
    let short: Vec<&str> = known
        .iter()
        .filter(|(mode, _)| has(mode))
        .map(|(_, short)| *short)
        .collect();
    short.join(",")
}

fn affinity(sheet: &mut Sheet, affinity: &Value) {
    let terms = items(&affinity["required"]["nodeSelectorTerms"]);
    if affinity["required"].is_null() {
        sheet.field(0, "Node Affinity", "<none>");
        return;
    }
    sheet.field(0, "Node Affinity", "");
    if terms.is_empty() {
        sheet.field(1, "Required Terms", "<none>");
        return;
    }
    sheet.field(1, "Required Terms", "");
    for (index, term) in terms.iter().enumerate() {
        let expression = |expression: &Value| {
            let operator = or(&expression["operator"], "").to_lowercase();
            let values: Vec<String> = items(&expression["values"]).iter().map(plain).collect();
            let key = plain(&expression["key"]);
            match values.len() {
                0 => format!("{key} {operator}"),
                _ => format!("{key} {operator} [{}]", values.join(", ")),
            }
        };
        let texts: Vec<String> = items(&term["matchExpressions"]).iter().map(expression).collect();
        match texts.as_slice() {
            [] => sheet.field(2, &format!("Term {index}"), "<none>"),
            [first, rest @ ..] => {
                sheet.field(2, &format!("Term {index}"), first);
                rest.iter().for_each(|text| sheet.line(2, &format!("\t{text}")));
            }
        }
    }
}
