//! A real registry on loopback, in a directory of its own, for the time of a test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use reqwest::header::{CONTENT_TYPE, LOCATION};
use tempfile::TempDir;

use super::sample::{MANIFEST, Sample};
use crate::images::digest::Digest;

pub(super) const USER: &str = "anna";
pub(super) const PASSWORD: &str = "correct horse";
/// bcrypt of `PASSWORD`.
const HTPASSWD: &str = "anna:$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n";

pub(super) struct DockerRegistry {
    process: Child,
    pub(super) host: String,
    login: bool,
    _directory: TempDir,
}

impl DockerRegistry {
    pub(super) fn start() -> Self {
        Self::start_with(false)
    }

    /// Pulls need `USER` and `PASSWORD`.
    pub(super) fn start_with_login() -> Self {
        Self::start_with(true)
    }

    fn start_with(login: bool) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name| directory.path().join(name);
        let mut config = format!(
            "version: 0.1\nlog: {{level: info}}\nhttp: {{addr: '127.0.0.1:0'}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n",
            path("data").display()
        );
        if login {
            std::fs::write(path("htpasswd"), HTPASSWD).expect("written");
            config += &format!(
                "auth:\n  htpasswd: {{realm: test, path: {}}}\n",
                path("htpasswd").display()
            );
        }
        std::fs::write(path("config.yml"), config).expect("written");
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(path("config.yml"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("docker-registry must be installed: apt-get install docker-registry");
        // It chooses a free port and says which.
        let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        let host = lines
            .find_map(|line| {
                let line = line.expect("text");
                let after = line.split_once("listening on ")?.1;
                Some(after.split('"').next().expect("a first part").to_owned())
            })
            .expect("docker-registry ended before it listened");
        // What nobody reads would block it.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            process,
            host,
            login,
            _directory: directory,
        }
    }

    /// Uploads an image as a pushing client does.
    pub(super) async fn push(&self, repository: &str, tag: &str, sample: &Sample) {
        for (digest, blob) in &sample.blobs {
            self.push_blob(repository, digest, blob).await;
        }
        self.push_manifest(repository, tag, MANIFEST, &sample.manifest).await;
    }

    pub(super) async fn push_manifest(&self, repository: &str, object: &str, media_type: &str, manifest: &[u8]) {
        let url = format!("http://{}/v2/{repository}/manifests/{object}", self.host);
        let request = self
            .client()
            .put(url)
            .header(CONTENT_TYPE, media_type)
            .body(manifest.to_vec());
        let response = self.as_user(request).send().await.expect("an answer");
        let status = response.status();
        assert!(
            status.is_success(),
            "{status}: {}",
            response.text().await.unwrap_or_default()
        );
    }

    async fn push_blob(&self, repository: &str, digest: &Digest, blob: &[u8]) {
        let url = format!("http://{}/v2/{repository}/blobs/uploads/", self.host);
        let response = self.as_user(self.client().post(url)).send().await.expect("an answer");
        let location = response.headers()[LOCATION].to_str().expect("text").to_owned();
        let url = format!("{location}&digest={digest}");
        let response = self
            .as_user(self.client().put(url).body(blob.to_vec()))
            .send()
            .await
            .expect("an answer");
        assert!(response.status().is_success(), "{}", response.status());
    }

    fn as_user(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        if self.login {
            request.basic_auth(USER, Some(PASSWORD))
        } else {
            request
        }
    }

    fn client(&self) -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder().no_proxy().build().expect("a client")
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
