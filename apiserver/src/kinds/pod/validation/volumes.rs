//! Volumes: each has a name of its own and exactly one source.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, KeyToPath, PodSpec, ProjectedVolumeSource, Volume, VolumeProjection,
};
use minik_api::field::{Error, Path};
use minik_api::names::{label, subdomain};

use super::{checks, env};
use crate::kinds::checks::quantity;

const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;
const HOST_PATH_TYPES: &[&str] = &[
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

/// Checks all, and returns the names that mounts can refer to, and whether each is a claim.
pub(super) fn check<'a>(
    spec: &'a PodSpec,
    pod_name: Option<&str>,
    path: &Path,
    errors: &mut Vec<Error>,
) -> Vec<(&'a str, bool)> {
    let volumes = spec.volumes.as_deref().unwrap_or_default();
    let mut good: Vec<(&str, bool)> = Vec::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = path.index(index);
        let before = errors.len();
        source(volume, &path, errors);
        checks::required_name(label, &volume.name, &path.child("name"), errors);
        if good.iter().any(|(name, _)| *name == volume.name) {
            errors.push(Error::duplicate(&path.child("name"), volume.name.as_str()));
        }
        if errors.len() == before {
            let claim = volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some();
            good.push((&volume.name, claim));
        }
        if let Some(claim) = &volume.persistent_volume_claim
            && created_claims(volumes, pod_name).any(|name| name == claim.claim_name)
        {
            let path = path.child("persistentVolumeClaim").child("claimName");
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            errors.push(Error::invalid(&path, claim.claim_name.as_str(), detail));
        }
    }
    good
}

fn created_claims<'a>(volumes: &'a [Volume], pod_name: Option<&'a str>) -> impl Iterator<Item = String> + 'a {
    let ephemeral = volumes.iter().filter(|volume| volume.ephemeral.is_some());
    ephemeral.filter_map(move |volume| pod_name.map(|pod| format!("{pod}-{}", volume.name)))
}

/// The sources that a volume names, in the order in which upstream looks at them.
fn sources(volume: &Volume) -> impl Iterator<Item = &'static str> {
    let all = [
        ("emptyDir", volume.empty_dir.is_some()),
        ("hostPath", volume.host_path.is_some()),
        ("gitRepo", volume.git_repo.is_some()),
        ("gcePersistentDisk", volume.gce_persistent_disk.is_some()),
        ("awsElasticBlockStore", volume.aws_elastic_block_store.is_some()),
        ("secret", volume.secret.is_some()),
        ("nfs", volume.nfs.is_some()),
        ("iscsi", volume.iscsi.is_some()),
        ("glusterfs", volume.glusterfs.is_some()),
        ("flocker", volume.flocker.is_some()),
        ("persistentVolumeClaim", volume.persistent_volume_claim.is_some()),
        ("rbd", volume.rbd.is_some()),
        ("cinder", volume.cinder.is_some()),
        ("cephfs", volume.cephfs.is_some()),
        ("quobyte", volume.quobyte.is_some()),
        ("downwardAPI", volume.downward_api.is_some()),
        ("fc", volume.fc.is_some()),
        ("flexVolume", volume.flex_volume.is_some()),
        ("configMap", volume.config_map.is_some()),
        ("azureFile", volume.azure_file.is_some()),
        ("vsphereVolume", volume.vsphere_volume.is_some()),
        ("photonPersistentDisk", volume.photon_persistent_disk.is_some()),
        ("portworxVolume", volume.portworx_volume.is_some()),
        ("azureDisk", volume.azure_disk.is_some()),
        ("storageos", volume.storageos.is_some()),
        ("projected", volume.projected.is_some()),
        ("scaleIO", volume.scale_io.is_some()),
        ("csi", volume.csi.is_some()),
        ("ephemeral", volume.ephemeral.is_some()),
        ("image", volume.image.is_some()),
    ];
    all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name)
}

fn source(volume: &Volume, path: &Path, errors: &mut Vec<Error>) {
    let mut named = sources(volume);
    let Some(first) = named.next() else {
        errors.push(Error::required(path, "must specify a volume type"));
        return;
    };
    one_source(volume, first, &path.child(first), errors);
    for other in named {
        errors.push(Error::forbidden(
            &path.child(other),
            "may not specify more than 1 volume type",
        ));
    }
}

/// What a source must say. Those that no storage driver here could serve are only counted.
fn one_source(volume: &Volume, source: &str, path: &Path, errors: &mut Vec<Error>) {
    match source {
        "emptyDir" => {
            let limit = volume.empty_dir.as_ref().and_then(|source| source.size_limit.as_ref());
            if limit.is_some_and(|limit| quantity(limit).is_negative()) {
                let detail = "SizeLimit field must be a valid resource quantity";
                errors.push(Error::forbidden(&path.child("sizeLimit"), detail));
            }
        }
        "projected" => volume
            .projected
            .iter()
            .for_each(|source| projected(source, path, errors)),
        "csi" | "ephemeral" | "image" | "nfs" | "iscsi" | "persistentVolumeClaim" | "hostPath" => {
            storage(volume, path, errors);
        }
        _ => files(volume, path, errors),
    }
}

/// Sources that are a place elsewhere.
fn storage(volume: &Volume, path: &Path, errors: &mut Vec<Error>) {
    if let Some(host_path) = &volume.host_path {
        if host_path.path.is_empty() {
            errors.push(Error::required(&path.child("path"), ""));
            return;
        }
        checks::no_backsteps(&host_path.path, &path.child("path"), errors);
        let kind = host_path.type_.as_deref().unwrap_or_default();
        if !HOST_PATH_TYPES.contains(&kind) {
            errors.push(Error::not_supported(&path.child("type"), kind, HOST_PATH_TYPES));
        }
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        checks::required(&claim.claim_name, &path.child("claimName"), errors);
    }
    if let Some(nfs) = &volume.nfs {
        checks::required(&nfs.server, &path.child("server"), errors);
        checks::required(&nfs.path, &path.child("path"), errors);
        if !nfs.path.starts_with('/') {
            errors.push(Error::invalid(
                &path.child("path"),
                nfs.path.as_str(),
                "must be an absolute path",
            ));
        }
    }
    if let Some(iscsi) = &volume.iscsi {
        checks::required(&iscsi.target_portal, &path.child("targetPortal"), errors);
        checks::required(&iscsi.iqn, &path.child("iqn"), errors);
        if !(0..=255).contains(&iscsi.lun) {
            errors.push(Error::invalid(
                &path.child("lun"),
                iscsi.lun,
                "must be between 0 and 255, inclusive",
            ));
        }
    }
    if let Some(csi) = &volume.csi {
        checks::required(&csi.driver, &path.child("driver"), errors);
    }
    if let Some(ephemeral) = &volume.ephemeral
        && ephemeral.volume_claim_template.is_none()
    {
        errors.push(Error::required(&path.child("volumeClaimTemplate"), ""));
    }
    if let Some(image) = &volume.image {
        checks::required(
            image.reference.as_deref().unwrap_or_default(),
            &path.child("reference"),
            errors,
        );
        let policies = ["Always", "IfNotPresent", "Never"];
        checks::one_of(
            image.pull_policy.as_deref(),
            &policies,
            &path.child("pullPolicy"),
            errors,
        );
    }
}

/// Sources that are files which the kubelet writes.
fn files(volume: &Volume, path: &Path, errors: &mut Vec<Error>) {
    if let Some(secret) = &volume.secret {
        checks::required(
            secret.secret_name.as_deref().unwrap_or_default(),
            &path.child("secretName"),
            errors,
        );
        checks::mode(secret.default_mode, &path.child("defaultMode"), errors);
        keys(secret.items.as_deref(), path, errors);
    }
    if let Some(map) = &volume.config_map {
        checks::required(&map.name, &path.child("name"), errors);
        checks::mode(map.default_mode, &path.child("defaultMode"), errors);
        keys(map.items.as_deref(), path, errors);
    }
    if let Some(downward) = &volume.downward_api {
        checks::mode(downward.default_mode, &path.child("defaultMode"), errors);
        for file in downward.items.iter().flatten() {
            downward_file(file, path, errors);
        }
    }
}

fn keys(items: Option<&[KeyToPath]>, path: &Path, errors: &mut Vec<Error>) {
    for (index, item) in items.into_iter().flatten().enumerate() {
        let path = path.child("items").index(index);
        checks::required(&item.key, &path.child("key"), errors);
        checks::required(&item.path, &path.child("path"), errors);
        checks::unreserved_path(&item.path, &path.child("path"), errors);
        checks::mode(item.mode, &path.child("mode"), errors);
    }
}

fn downward_file(file: &DownwardAPIVolumeFile, path: &Path, errors: &mut Vec<Error>) {
    checks::required(&file.path, &path.child("path"), errors);
    checks::unreserved_path(&file.path, &path.child("path"), errors);
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(reference), resource) => {
            env::field_reference(reference, env::VOLUME_FIELDS, &path.child("fieldRef"), errors);
            if resource.is_some() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(Error::invalid(path, "resource", detail));
            }
        }
        (None, Some(reference)) => env::resource_reference(reference, true, &path.child("resourceFieldRef"), errors),
        (None, None) => errors.push(Error::required(
            path,
            "one of fieldRef and resourceFieldRef is required",
        )),
    }
    checks::mode(file.mode, &path.child("mode"), errors);
}

fn projected(projected: &ProjectedVolumeSource, path: &Path, errors: &mut Vec<Error>) {
    checks::mode(projected.default_mode, &path.child("defaultMode"), errors);
    let mut paths = BTreeSet::new();
    for (index, source) in projected.sources.iter().flatten().enumerate() {
        let own_path = path.child("sources").index(index);
        projection(source, path, &own_path, errors);
        for (name, file) in projected_files(source) {
            if !file.is_empty() && !paths.insert(file) {
                errors.push(Error::invalid(path, name, "conflicting duplicate paths"));
            }
        }
    }
}

/// The files that a source writes by name, each with what it is known by in messages.
fn projected_files(source: &VolumeProjection) -> impl Iterator<Item = (&str, &str)> {
    let secret = source
        .secret
        .iter()
        .flat_map(|from| from.items.iter().flatten().map(|item| (&*from.name, &*item.path)));
    let map = source
        .config_map
        .iter()
        .flat_map(|from| from.items.iter().flatten().map(|item| (&*from.name, &*item.path)));
    let downward = source.downward_api.iter().flat_map(|from| from.items.iter().flatten());
    secret.chain(map).chain(downward.map(|file| (&*file.path, &*file.path)))
}

fn projection(source: &VolumeProjection, volume_path: &Path, path: &Path, errors: &mut Vec<Error>) {
    let mut count = 0;
    if let Some(secret) = &source.secret {
        count += 1;
        checks::required(&secret.name, &path.child("secret").child("name"), errors);
        keys(secret.items.as_deref(), &path.child("secret"), errors);
    }
    if let Some(map) = &source.config_map {
        count += 1;
        checks::required(&map.name, &path.child("configMap").child("name"), errors);
        keys(map.items.as_deref(), &path.child("configMap"), errors);
    }
    if let Some(downward) = &source.downward_api {
        count += 1;
        for file in downward.items.iter().flatten() {
            downward_file(file, &path.child("downwardAPI"), errors);
        }
    }
    if let Some(token) = &source.service_account_token {
        count += 1;
        let seconds = token.expiration_seconds.unwrap_or(0);
        let seconds_path = path.child("serviceAccountToken").child("expirationSeconds");
        if seconds < TOKEN_SECONDS_MIN {
            errors.push(Error::invalid(
                &seconds_path,
                seconds,
                "may not specify a duration less than 10 minutes",
            ));
        }
        if seconds > TOKEN_SECONDS_MAX {
            let detail = "may not specify a duration larger than 2^32 seconds";
            errors.push(Error::invalid(&seconds_path, seconds, detail));
        }
        checks::required(&token.path, &volume_path.child("path"), errors);
        checks::unreserved_path(&token.path, &volume_path.child("path"), errors);
    }
    if let Some(bundle) = &source.cluster_trust_bundle {
        count += 1;
        let path = path.child("clusterTrustBundle");
        match (&bundle.name, &bundle.signer_name) {
            (Some(name), None) => {
                checks::required_name(subdomain, &name.replace(':', "."), &path.child("name"), errors)
            }
            (None, Some(signer)) => checks::required(signer, &path.child("signerName"), errors),
            (Some(_), Some(_)) => errors.push(Error::forbidden(&path, "only one of name and signerName may be used")),
            (None, None) => errors.push(Error::required(&path, "either name or signerName must be specified")),
        }
        checks::required(&bundle.path, &path.child("path"), errors);
        checks::unreserved_path(&bundle.path, &path.child("path"), errors);
    }
    count += usize::from(source.pod_certificate.is_some());
    if count > 1 {
        errors.push(Error::forbidden(
            path,
            "may not specify more than 1 volume type per source",
        ));
    }
}
