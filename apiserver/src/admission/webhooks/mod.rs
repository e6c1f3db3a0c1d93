//! Webhooks: servers that are asked, over HTTPS, what they want to change about an object and whether it may be written at all
//! (upstream's MutatingAdmissionWebhook and ValidatingAdmissionWebhook).
//!
//! Those that mutate are asked one after the other, each about what the one before has left; those that validate all at once.
//! Without configurations this costs a look at an empty map.

mod review;

use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::Value;

use super::asker::Asker;
use super::conditions::{self, Given};
use super::matching::{is_free, matches as is_meant};
use super::{Attributes, Mutate};
use crate::cel;
use crate::kinds::{Rules, read};
use crate::patch;
use crate::webhook;

use review::Answer;
pub(super) use review::request;

const MUTATING: &str = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
const VALIDATING: &str = "validatingwebhookconfigurations.admissionregistration.k8s.io";

/// The webhooks that are to be asked about a request.
fn hooks(attributes: &Attributes<'_>, resource: &'static str) -> Vec<Value> {
    if !is_free(attributes) {
        return Vec::new();
    }
    let configurations = attributes.expressions.objects(attributes.store, resource);
    let hooks = configurations
        .iter()
        .flat_map(|one| read::list(one.body.get("webhooks")));
    hooks.cloned().collect()
}

/// Lets every mutating webhook change the object; those that ask for it see it again when others have changed it since.
pub(super) async fn mutate(
    attributes: &Attributes<'_>,
    rules: &dyn Rules,
    plugins: &[&dyn Mutate],
    object: &mut Object,
) -> Result<(), Status> {
    let hooks = hooks(attributes, MUTATING);
    let mut last_change = None;
    for (index, hook) in hooks.iter().enumerate() {
        if ask_to_mutate(attributes, rules, hook, object).await? {
            last_change = Some(index);
        }
    }
    let Some(mut last_change) = last_change else {
        return Ok(());
    };
    let before = object.clone();
    plugins.iter().for_each(|plugin| plugin.mutate(attributes, object));
    rules.defaults(object);
    if before != *object {
        last_change = hooks.len();
    }
    for (index, hook) in hooks.iter().enumerate() {
        if hook["reinvocationPolicy"] == "IfNeeded"
            && index < last_change
            && ask_to_mutate(attributes, rules, hook, object).await?
        {
            last_change = hooks.len();
        }
    }
    Ok(())
}

/// Whether it changed anything.
async fn ask_to_mutate(
    attributes: &Attributes<'_>,
    rules: &dyn Rules,
    hook: &Value,
    object: &mut Object,
) -> Result<bool, Status> {
    let Some(answer) = ask(attributes, hook, Some(object)).await? else {
        return Ok(false);
    };
    let Some(patch) = answer.patch else {
        return Ok(false);
    };
    let patched = patch::json(&object.to_value(), &patch).and_then(|value| {
        let decoded = rules.decode(attributes.kind.stored(), value);
        decoded.map_err(|error| Status::internal(format!("the patch of webhook {}: {error}", hook["name"])))
    });
    let (mut new, _) = patched?;
    // Who it is isn't a webhook's to say.
    new.metadata.name.clone_from(&object.metadata.name);
    new.metadata.namespace.clone_from(&object.metadata.namespace);
    new.metadata.uid.clone_from(&object.metadata.uid);
    rules.defaults(&mut new);
    let changed = new != *object;
    *object = new;
    Ok(changed)
}

/// Asks every validating webhook.
pub(super) async fn validate(attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
    let hooks = hooks(attributes, VALIDATING);
    if hooks.is_empty() {
        return Ok(());
    }
    let asked = hooks.iter().map(|hook| ask(attributes, hook, object));
    let answers = futures::future::join_all(asked).await;
    answers.into_iter().try_for_each(|answer| answer.map(drop))
}

/// Asks every webhook about a connection, those first that could change something.
pub(super) async fn connect(attributes: &Attributes<'_>, options: &Object) -> Result<(), Status> {
    for hook in hooks(attributes, MUTATING) {
        ask(attributes, &hook, Some(options)).await?;
    }
    validate(attributes, Some(options)).await
}

/// Asks one webhook; `None`: it isn't its business, or it can't be asked and that doesn't matter.
async fn ask(attributes: &Attributes<'_>, hook: &Value, object: Option<&Object>) -> Result<Option<Answer>, Status> {
    let name = read::text(hook.get("name"));
    if !is_meant(hook, "rules", attributes, object) {
        return Ok(None);
    }
    let uid = uuid::Uuid::new_v4().to_string();
    let request = request(attributes, object, &uid);
    let ignores = hook["failurePolicy"] == "Ignore";
    let asker = Asker::new(attributes);
    let given: Given<'_> = vec![
        ("object", cel::Value::of(&request["object"], None)),
        ("oldObject", cel::Value::of(&request["oldObject"], None)),
        ("request", cel::Value::of(&request, None)),
        ("authorizer", cel::Value::authorizer(&asker, &asker.own)),
    ];
    match conditions::hold(attributes.expressions, read::list(hook.get("matchConditions")), &given) {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(_) if ignores => return Ok(None),
        Err(why) => return Err(Status::forbidden(attributes.kind, attributes.name, &why)),
    }
    if attributes.dry_run && !matches!(hook["sideEffects"].as_str(), Some("None" | "NoneOnDryRun")) {
        return Err(Status::bad_request(format!(
            "admission webhook {name:?} does not support dry run"
        )));
    }
    let question = review::question(hook, request);
    let seconds = hook["timeoutSeconds"].as_u64().unwrap_or(10);
    let said = webhook::ask(attributes.store, &hook["clientConfig"], seconds, &question).await;
    match said.and_then(|review| review::answer(name, &question, &review)) {
        Ok(answer) => {
            answer
                .warnings
                .iter()
                .for_each(|warning| attributes.warn(warning.clone()));
            match answer.refusal {
                Some(refusal) => Err(refusal),
                None => Ok(Some(answer)),
            }
        }
        Err(why) if ignores => {
            tracing::warn!(webhook = name, why, "a webhook can't be asked; its policy is to go on");
            Ok(None)
        }
        Err(why) => Err(Status::internal(format!("failed calling webhook {name:?}: {why}"))),
    }
}
