//! Watching one object until it is as somebody wants it: what `wait` and `delete` do at their end.

use futures::StreamExt as _;
use serde_json::Value;

use crate::client::Session;
use crate::commands::objects::Named;
use crate::commands::target::query;
use crate::failure::Failure;

/// Returns when `enough` says so of what the object is; it is asked about what is there now and then about each change. None is
/// no object.
///
/// # Errors
/// Those of asking, and of `enough`.
pub async fn until(
    session: &Session,
    named: &Named,
    mut enough: impl FnMut(Option<&Value>) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let fields = format!("metadata.name={}", named.name);
    let collection = named.resource.collection(Some(&named.namespace));
    loop {
        let list = session
            .get(&format!("{collection}{}", query(&[("fieldSelector", &fields)])))
            .await?;
        if enough(list["items"].get(0))? {
            return Ok(());
        }
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        let query = query(&[
            ("fieldSelector", &fields),
            ("resourceVersion", version),
            ("watch", "true"),
        ]);
        let events = session
            .follow(&format!("{collection}{query}"), "application/json")
            .await?;
        let mut events = Box::pin(events);
        while let Some(event) = events.next().await {
            let event = event?;
            let reached = match event["type"].as_str() {
                Some("ADDED" | "MODIFIED") => enough(Some(&event["object"]))?,
                Some("DELETED") => enough(None)?,
                Some("ERROR") => {
                    // Too old a version: the next round asks anew. Anything else is for the user.
                    let status: kube::core::Status =
                        serde_json::from_value(event["object"].clone()).unwrap_or_default();
                    if status.code == 410 {
                        break;
                    }
                    return Err(Failure::Api(Box::new(status)).into());
                }
                _ => false,
            };
            if reached {
                return Ok(());
            }
        }
    }
}
