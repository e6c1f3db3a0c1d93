//! `create deployment`, `job` and `cronjob`: pods of an image, and what keeps them.

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::creating::Creating;
use super::sources::metadata;
use crate::cli::Global;
use crate::client::Session;
use crate::commands::target;

/// Arguments of `create deployment`.
#[derive(Args, Debug)]
pub struct Deployment {
    /// Its name.
    name: String,
    /// The image of a container; may be repeated.
    #[arg(long, value_name = "IMAGE", required = true, value_delimiter = ',')]
    image: Vec<String>,
    /// The port on which the container listens.
    #[arg(long, value_name = "NUMBER")]
    port: Option<u16>,
    /// How many pods.
    #[arg(short, long, default_value_t = 1, value_name = "NUMBER")]
    replicas: u32,
    /// What to run in the place of what the image says.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    pub creating: Creating,
}

/// Arguments of `create job`.
#[derive(Args, Debug)]
pub struct Job {
    /// Its name.
    name: String,
    /// The container's image.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// The cron job of which this is to be a run: cronjob/NAME.
    #[arg(long, value_name = "cronjob/NAME")]
    from: Option<String>,
    /// What to run in the place of what the image says.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    pub creating: Creating,
}

/// Arguments of `create cronjob`.
#[derive(Args, Debug)]
pub struct CronJob {
    /// Its name.
    name: String,
    /// The container's image.
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// When: minute hour day month weekday, such as "*/5 * * * *".
    #[arg(long, value_name = "CRON")]
    schedule: String,
    /// Whether containers that ended are started again: OnFailure or Never.
    #[arg(long, value_name = "POLICY", default_value = "OnFailure")]
    restart: String,
    /// What to run in the place of what the image says.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    pub creating: Creating,
}

impl Deployment {
    pub fn object(&self) -> anyhow::Result<Value> {
        if self.image.len() > 1 && !self.command.is_empty() {
            bail!("cannot specify multiple --image options and command");
        }
        let containers = self
            .image
            .iter()
            .map(|image| container(&name_of(image), image, &self.command));
        let mut containers: Vec<Value> = containers.collect();
        if let Some(port) = self.port {
            containers[0]["ports"] = json!([{"containerPort": port}]);
        }
        let labels = json!({"app": self.name});
        let mut metadata = metadata(&self.name);
        metadata["labels"] = labels.clone();
        Ok(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": labels},
                "strategy": {},
                "template": {
                    "metadata": {"creationTimestamp": null, "labels": labels},
                    "spec": {"containers": containers},
                },
            },
            "status": {},
        }))
    }
}

impl Job {
    pub async fn object(&self, global: &Global) -> anyhow::Result<Value> {
        match (&self.image, &self.from) {
            (Some(image), None) => Ok(json!({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata(&self.name),
                "spec": template(&self.name, image, "Never", &self.command), "status": {},
            })),
            (None, Some(_)) if !self.command.is_empty() => bail!("cannot specify --from and command"),
            (None, Some(from)) => {
                let session = Session::open(global).await?;
                let targets = target::resolve(&session, std::slice::from_ref(from)).await?;
                let [target] = targets.as_slice() else {
                    bail!("from must be an existing cronjob");
                };
                let (Some(name), true) = (target.names.first(), target.resource.kind == "CronJob") else {
                    bail!("from must be an existing cronjob");
                };
                let cron_job = session.get(&target.resource.object(&session.namespace, name)).await?;
                Ok(run_of(&cron_job, &self.name))
            }
            _ => bail!("either --image or --from must be specified"),
        }
    }
}

impl CronJob {
    pub fn object(&self) -> Value {
        let mut job = json!({"metadata": metadata(&self.name)});
        job["spec"] = template(&self.name, &self.image, &self.restart, &self.command);
        json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata(&self.name),
            "spec": {"schedule": self.schedule, "jobTemplate": job}, "status": {},
        })
    }
}

/// A job as a cron job would make it, by hand. Pure.
fn run_of(cron_job: &Value, name: &str) -> Value {
    let wanted = &cron_job["spec"]["jobTemplate"];
    let mut metadata = metadata(name);
    metadata["annotations"] = match &wanted["metadata"]["annotations"] {
        Value::Object(map) => Value::Object(map.clone()),
        _ => json!({}),
    };
    metadata["annotations"]["cronjob.kubernetes.io/instantiate"] = json!("manual");
    if wanted["metadata"]["labels"].is_object() {
        metadata["labels"] = wanted["metadata"]["labels"].clone();
    }
    metadata["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "CronJob", "controller": true,
        "name": cron_job["metadata"]["name"], "uid": cron_job["metadata"]["uid"],
    }]);
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": wanted["spec"], "status": {}})
}

fn template(name: &str, image: &str, restart: &str, command: &[String]) -> Value {
    json!({"template": {
        "metadata": {"creationTimestamp": null},
        "spec": {"containers": [container(name, image, command)], "restartPolicy": restart},
    }})
}

fn container(name: &str, image: &str, command: &[String]) -> Value {
    let mut container = json!({"name": name, "image": image, "resources": {}});
    if !command.is_empty() {
        container["command"] = json!(command);
    }
    container
}

/// `docker.io/library/nginx:1` is nginx. What a container can't be called gets something random behind it.
fn name_of(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    let name = last.split([':', '@']).next().unwrap_or(last);
    if !name.contains(['_', '.']) {
        return name.to_owned();
    }
    // As Kubernetes' names that are made: no vowels, nothing that looks like another.
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), image);
    let letters = (0..5).map(|at| {
        let index = (seed >> (at * 8)) as usize % LETTERS.len();
        char::from(LETTERS[index])
    });
    format!("{}-{}", name.replace(['_', '.'], "-"), letters.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_called_like_their_image() {
        assert_eq!(name_of("docker.io/library/nginx:1"), "nginx");
        assert_eq!(name_of("host:5000/a/b@sha256:00"), "b");
        let made = name_of("a_b.c");
        assert!(made.starts_with("a-b-c-") && made.len() == 11, "{made}");
    }

    #[test]
    fn a_run_by_hand_says_so() {
        let cron_job = json!({"metadata": {"name": "c", "uid": "1"}, "spec": {"jobTemplate": {
            "metadata": {"labels": {"a": "b"}, "annotations": {"x": "y"}}, "spec": {"template": {}}}}});
        let job = run_of(&cron_job, "j");
        assert_eq!(
            job["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"],
            "manual"
        );
        assert_eq!(job["metadata"]["annotations"]["x"], "y");
        assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], "1");
        assert_eq!(job["spec"], json!({"template": {}}));
    }
}
