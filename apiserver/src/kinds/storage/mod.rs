//! How volumes are made and attached (`storage.k8s.io`): rules of its kinds. The sentences are those of upstream's
//! `pkg/apis/storage/validation`.

mod classes;
mod csi_driver;
mod csi_node;
mod csi_storage_capacity;
mod volume_attachment;

pub(super) use classes::{StorageClasses, VolumeAttributesClasses};
pub(super) use csi_driver::CsiDrivers;
pub(super) use csi_node::CsiNodes;
pub(super) use csi_storage_capacity::CsiStorageCapacities;
pub(super) use volume_attachment::VolumeAttachments;
