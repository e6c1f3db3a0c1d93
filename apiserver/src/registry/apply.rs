//! Apply: an update of what is there, or else a create.

use std::sync::Arc;

use minik_api::object::Object;
use minik_api::status::Status;

use super::{Part, Registry, Target, WriteOptions};
use crate::storage::Stored;

/// How often the two take turns when somebody else deletes and creates at the same time.
const ATTEMPTS: usize = 5;

impl Registry {
    /// Makes the object what `wanted` makes of it, or of nothing if it can; tells whether it was created. The managers are those
    /// that `wanted` writes down.
    pub(crate) async fn apply(
        &self,
        target: Target<'_>,
        part: Part,
        options: WriteOptions<'_>,
        mut wanted: impl FnMut(Option<&Object>) -> Result<Object, Status>,
    ) -> Result<(Arc<Stored>, bool), Status> {
        let options = WriteOptions {
            manager: None,
            ..options
        };
        for _ in 0..ATTEMPTS {
            let updated = self.update(target, part, options, |old| wanted(Some(old))).await;
            match updated {
                Err(status) if status.code == 404 && self.get(target).is_err() => {}
                outcome => return Ok((outcome?, false)),
            }
            let object = wanted(None)?;
            match self.create(target.kind, target.namespace, object, options).await {
                Err(status) if status.reason == "AlreadyExists" => {}
                outcome => return Ok((outcome?, true)),
            }
        }
        Err(target.conflict("the object comes and goes; please try again"))
    }
}
