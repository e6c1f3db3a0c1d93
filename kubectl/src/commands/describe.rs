//! `describe`: fetches an object, its events and what belongs to it, and shows them for people.

use std::io::Write as _;

use anyhow::bail;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::Global;
use crate::client::Session;
use crate::commands::target::{self, Selectors, query};
use crate::describe::{self, Subject};
use crate::failure::{Failure, Several};
use crate::manifest;
use crate::resources::Resource;

const JSON: &str = "application/json";

/// Arguments of `describe`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl describe pod nginx
  minikctl describe node
  minikctl describe pods -l app=web")]
pub struct Describe {
    /// What to show: pod nginx, pod/nginx, nodes.
    #[arg(value_name = "KIND [NAME ...]")]
    what: Vec<String>,
    /// Show the objects that a file names.
    #[arg(short, long = "filename", value_name = "FILE", conflicts_with = "what")]
    filename: Vec<String>,
    /// Read folders with what is below them.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// How many objects to ask for at once.
    #[arg(long, default_value_t = 500, value_name = "NUMBER")]
    chunk_size: u32,
    /// In all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Whether to show events.
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    show_events: bool,
}

impl Describe {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        if self.what.is_empty() && self.filename.is_empty() {
            bail!("You must specify the type of resource to describe, such as `minikctl describe pod nginx`");
        }
        let session = Session::open(global).await?;
        let (objects, mut errors) = self.objects(&session).await?;
        let mut out = anstream::stdout().lock();
        for (index, (resource, object)) in objects.into_iter().enumerate() {
            let subject = self.subject(&session, &resource, object).await?;
            if index > 0 {
                write!(out, "\n\n")?;
            }
            out.write_all(describe::describe(&subject, Timestamp::now()).as_bytes())?;
        }
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Several(errors).into()),
        }
    }

    async fn objects(&self, session: &Session) -> anyhow::Result<(Vec<(Resource, Value)>, Vec<anyhow::Error>)> {
        let (mut objects, mut errors) = (Vec::new(), Vec::new());
        for document in manifest::read(&self.filename, self.recursive).await {
            let mut document = document?;
            let resource = super::apply::place(session, &mut document).await?;
            let path = resource.object(document.text("/metadata/namespace"), document.text("/metadata/name"));
            match session.get(&path).await {
                Ok(object) => objects.push((resource, object)),
                Err(failure) => errors.push(failure.into()),
            }
        }
        let namespace = (!self.all_namespaces).then_some(session.namespace.as_str());
        for target in target::resolve(session, &self.what).await? {
            for name in &target.names {
                match session.get(&target.resource.object(&session.namespace, name)).await {
                    Ok(object) => objects.push((target.resource.clone(), object)),
                    Err(failure) if failure.is_not_found() => {
                        match with_prefix(session, &target.resource, name).await? {
                            found if found.is_empty() => errors.push(failure.into()),
                            found => objects.extend(found.into_iter().map(|object| (target.resource.clone(), object))),
                        }
                    }
                    Err(failure) => errors.push(failure.into()),
                }
            }
            if target.names.is_empty() {
                let selectors = Selectors {
                    labels: self.selector.clone(),
                    fields: None,
                };
                let collection = target.resource.collection(namespace);
                let (pages, ended) = target::pages(session, &collection, &selectors, self.chunk_size, JSON, &[]).await;
                ended?;
                let pages = pages.into_iter();
                let found: Vec<Value> = pages.flat_map(|page| items(&target.resource, page)).collect();
                if found.is_empty() {
                    match namespace.filter(|_| target.resource.namespaced) {
                        Some(namespace) => {
                            writeln!(anstream::stderr(), "No resources found in {namespace} namespace.")?
                        }
                        None => writeln!(anstream::stderr(), "No resources found")?,
                    }
                }
                objects.extend(found.into_iter().map(|object| (target.resource.clone(), object)));
            }
        }
        Ok((objects, errors))
    }

    async fn subject(&self, session: &Session, resource: &Resource, object: Value) -> anyhow::Result<Subject> {
        let metadata = &object["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default();
        let (namespace, name) = (text("namespace"), text("name"));
        let list = async |path: String| -> Result<Vec<Value>, Failure> {
            let list = session.get(&path).await?;
            Ok(list["items"].as_array().cloned().unwrap_or_default())
        };
        let mut events = Vec::new();
        if self.show_events && resource.kind != "Event" {
            let mut fields = format!("involvedObject.name={name},involvedObject.kind={}", resource.kind);
            if resource.namespaced {
                fields.push_str(&format!(",involvedObject.uid={}", text("uid")));
            }
            let place = if resource.namespaced {
                format!("namespaces/{namespace}/")
            } else {
                String::new()
            };
            let found = list(format!("/api/v1/{place}events{}", query(&[("fieldSelector", &fields)]))).await;
            // A server that doesn't know events, or keeps them from this user, can still show the object.
            events = found.unwrap_or_default();
            events.sort_by_key(last_seen);
        }
        let related = match resource.kind.as_str() {
            "Node" => {
                let fields = format!("spec.nodeName={name}");
                list(format!("/api/v1/pods{}", query(&[("fieldSelector", &fields)]))).await?
            }
            "Service" => session
                .get(&format!("/api/v1/namespaces/{namespace}/endpoints/{name}"))
                .await
                .map(|endpoints| vec![endpoints])
                .unwrap_or_default(),
            "ReplicaSet" | "ReplicationController" | "StatefulSet" | "DaemonSet" => {
                owned(list(format!("/api/v1/namespaces/{namespace}/pods")).await?, text("uid"))
            }
            "Deployment" => {
                let sets = list(format!("/apis/apps/v1/namespaces/{namespace}/replicasets")).await;
                // A server without them can still show the deployment.
                owned(sets.unwrap_or_default(), text("uid"))
            }
            "PersistentVolumeClaim" => {
                let mut pods = list(format!("/api/v1/namespaces/{namespace}/pods")).await?;
                pods.retain(|pod| uses(pod, name));
                pods
            }
            "ServiceAccount" => {
                let mut secrets = list(format!("/api/v1/namespaces/{namespace}/secrets"))
                    .await
                    .unwrap_or_default();
                secrets.retain(|secret| {
                    secret["type"] == "kubernetes.io/service-account-token"
                        && secret["metadata"]["annotations"]["kubernetes.io/service-account.name"] == name
                });
                secrets
            }
            "Ingress" => {
                // What a server lacks, or keeps from this user, is missing in the description.
                let mut found = list(format!("/api/v1/namespaces/{namespace}/services"))
                    .await
                    .unwrap_or_default();
                found
                    .iter_mut()
                    .for_each(|service| service["kind"] = Value::from("Service"));
                let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
                found.extend(list(slices).await.unwrap_or_default());
                found
            }
            "Namespace" => {
                let mut found = Vec::new();
                for (kind, plural) in [("ResourceQuota", "resourcequotas"), ("LimitRange", "limitranges")] {
                    let listed = list(format!("/api/v1/namespaces/{name}/{plural}"))
                        .await
                        .unwrap_or_default();
                    found.extend(listed.into_iter().map(|mut object| {
                        object["kind"] = Value::from(kind);
                        object
                    }));
                }
                found
            }
            _ => Vec::new(),
        };
        let mut lease = Value::Null;
        if resource.kind == "Node" {
            let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}");
            // A node that has never lived has none.
            lease = session.get(&path).await.unwrap_or_default();
        }
        Ok(Subject {
            events,
            related,
            lease,
            object,
        })
    }
}

/// Those that an object with this uid controls.
fn owned(mut objects: Vec<Value>, uid: &str) -> Vec<Value> {
    objects.retain(|object| {
        let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        owners
            .into_iter()
            .any(|owner| owner["controller"] == true && owner["uid"] == uid)
    });
    objects
}

/// Whether a pod mounts a claim.
fn uses(pod: &Value, claim: &str) -> bool {
    let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.any(|volume| volume["persistentVolumeClaim"]["claimName"] == claim)
}

/// The objects whose names begin like this: `describe pod web` shows web-1 and web-2.
async fn with_prefix(session: &Session, resource: &Resource, prefix: &str) -> Result<Vec<Value>, Failure> {
    let list = session.get(&resource.collection(Some(&session.namespace))).await?;
    let begins = |object: &Value| {
        object["metadata"]["name"]
            .as_str()
            .is_some_and(|name| name.starts_with(prefix))
    };
    Ok(items(resource, list).into_iter().filter(begins).collect())
}

/// The objects of a list, each with its kind, which lists leave out.
fn items(resource: &Resource, mut list: Value) -> Vec<Value> {
    let Value::Array(mut items) = list["items"].take() else {
        return Vec::new();
    };
    for item in &mut items {
        item["apiVersion"] = Value::from(resource.api_version());
        item["kind"] = Value::from(resource.kind.as_str());
    }
    items
}

fn last_seen(event: &Value) -> String {
    let times = [
        &event["series"]["lastObservedTime"],
        &event["lastTimestamp"],
        &event["eventTime"],
        &event["firstTimestamp"],
    ];
    times.into_iter().find_map(Value::as_str).unwrap_or_default().to_owned()
}
