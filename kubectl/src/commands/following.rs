//! Following one object until it is as wanted: what it is now, then each of its changes, over watches that end and begin anew.

use anyhow::Context as _;
use futures::StreamExt as _;
use serde_json::Value;

use crate::client::Session;
use crate::commands::target::query;
use crate::failure::Failure;
use crate::resources::Resource;

/// One object.
#[derive(Clone, Copy, Debug)]
pub struct Followed<'a> {
    /// Its kind.
    pub resource: &'a Resource,
    /// Its namespace, where its kind has them.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
}

impl Followed<'_> {
    /// Shows the object to `decide` (nothing when it isn't there), now and at each change, until that gives something.
    ///
    /// # Errors
    /// Those of asking, and of `decide`.
    pub async fn until<T>(
        &self,
        session: &Session,
        mut decide: impl FnMut(Option<&Value>) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        loop {
            let fields = format!("metadata.name={}", self.name);
            let collection = self.resource.collection(Some(self.namespace));
            let listed = format!("{collection}{}", query(&[("fieldSelector", &fields)]));
            // A list, not the object: its version is where a watch goes on, even where the object isn't there.
            let list = session.get(&listed).await?;
            let present = list["items"].as_array().and_then(|items| items.first());
            if let Some(done) = decide(present)? {
                return Ok(done);
            }
            let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
            let query = query(&[
                ("fieldSelector", &fields),
                ("resourceVersion", version),
                ("watch", "true"),
            ]);
            let path = format!("{collection}{query}");
            let mut events = Box::pin(session.follow(&path, "application/json").await?);
            while let Some(event) = events.next().await {
                let event = event?;
                let object = match event["type"].as_str() {
                    Some("ADDED" | "MODIFIED") => Some(&event["object"]),
                    Some("DELETED") => None,
                    // Too old a version: the next round asks anew. Anything else is for the user.
                    Some("ERROR") if event["object"]["code"] == 410 => break,
                    Some("ERROR") => {
                        let status = serde_json::from_value(event["object"].clone());
                        let status = status.context("the watch ended with something unreadable")?;
                        return Err(Failure::Api(Box::new(status)).into());
                    }
                    _ => continue,
                };
                if let Some(done) = decide(object)? {
                    return Ok(done);
                }
            }
        }
    }
}
