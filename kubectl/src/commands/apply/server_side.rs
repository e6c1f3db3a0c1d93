//! `apply --server-side`: the server merges, and knows who set which field.
//!
//! An object that was applied by the client before is brought over: the fields that its manager holds by updates become this
//! one's, so that what leaves the manifest leaves the object.

use std::io::Write as _;

use anyhow::anyhow;
use http::Method;
use serde_json::{Value, json};

use super::{Apply, Step};
use crate::apply::{LAST_APPLIED, managers};
use crate::client::Session;
use crate::commands::target::query;
use crate::commands::writing::DryRun;
use crate::failure::Failure;
use crate::manifest::Document;
use crate::resources::Resource;

/// kubectl's name for who applies on the server.
const MANAGER: &str = "kubectl";
/// Who keeps the annotation of client-side apply alive.
const ANNOTATION_MANAGER: &str = "kubectl-last-applied";
const APPLY: &str = "application/apply-patch+yaml";

impl Apply {
    pub(super) async fn server_side(&self, session: &Session, resource: &Resource, document: &Document) -> Step {
        let path = resource.object(document.text("/metadata/namespace"), document.text("/metadata/name"));
        let below = self
            .subresource
            .as_ref()
            .map(|name| format!("/{name}"))
            .unwrap_or_default();
        let force = if self.force_conflicts { "true" } else { "false" };
        let url = format!("{path}{below}{}&force={force}", self.parameters(MANAGER));
        let send = async || session.send(Method::PATCH, &url, APPLY, &document.object).await;
        let mut object = send().await.map_err(conflicts)?;
        match self.migrate(session, &path, &object).await {
            Ok(false) => {}
            // Only now what left the manifest can leave the object.
            Ok(true) => object = send().await.map_err(conflicts)?,
            Err(failure) => writeln!(
                anstream::stderr(),
                "Warning: server-side apply succeeded, but the fields that client-side apply manages could not be brought \
                 over; the next apply tries again: {failure}"
            )?,
        }
        Ok((object, "serverside-applied"))
    }

    /// Brings the fields of client-side apply over; whether there were any.
    async fn migrate(&self, session: &Session, path: &str, object: &Value) -> Result<bool, Failure> {
        let manager = self.field_manager.as_deref().unwrap_or(MANAGER);
        let dry_run = self.dry_run == DryRun::Server;
        let mut parameters = vec![("fieldManager", ANNOTATION_MANAGER)];
        parameters.extend(dry_run.then_some(("dryRun", "All")));
        let mut object = object.clone();
        let annotation = object["metadata"]["annotations"][LAST_APPLIED].clone();
        if manager == MANAGER && annotation.is_string() && !managers::hold(&object, "Apply", LAST_APPLIED) {
            let only = json!({
                "apiVersion": object["apiVersion"], "kind": object["kind"],
                "metadata": {
                    "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"],
                    "annotations": {LAST_APPLIED: annotation},
                },
            });
            object = session
                .send(Method::PATCH, &format!("{path}{}", query(&parameters)), APPLY, &only)
                .await?;
        }
        let Some(patch) = managers::migration(&object, LAST_APPLIED, manager) else {
            return Ok(false);
        };
        parameters[0] = ("fieldManager", manager);
        let url = format!("{path}{}", query(&parameters));
        session
            .send(Method::PATCH, &url, "application/json-patch+json", &patch)
            .await?;
        Ok(true)
    }
}

/// Who else manages the fields, and what can be done about it.
fn conflicts(failure: Failure) -> anyhow::Error {
    match failure {
        Failure::Api(status) if status.code == 409 => anyhow!(
            "{}\n\
             Others manage these fields. There are three ways on:\n\
             * --force-conflicts takes the fields over.\n\
             * A manifest that doesn't name them leaves them to their managers.\n\
             * A manifest with the values that they have shares them.\n\
             See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts",
            status.message
        ),
        Failure::Api(status) if status.code == 415 => {
            anyhow!("Server-side apply not available on the server: ({})", status.message)
        }
        other => other.into(),
    }
}
