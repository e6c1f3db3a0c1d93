//! `certificate`: approve and deny requests for certificates.
//!
//! Approving writes a condition through the request's own door, `/approval`; signing is the signer's business.

use anyhow::bail;
use clap::{Args, Subcommand};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::objects::{Files, Named, Selection, Wanted, finish};
use crate::commands::writing::{Teller, Writing};
use crate::print::output::Output;

/// kubectl's number of attempts when somebody else writes at the same time.
const ATTEMPTS: u32 = 10;

/// The verbs of `certificate`.
#[derive(Subcommand, Debug)]
pub enum CertificateVerb {
    /// Let a request have its certificate
    Approve(Certificate),
    /// Refuse a request its certificate
    Deny(Certificate),
}

/// Arguments of both.
#[derive(Args, Debug)]
pub struct Certificate {
    /// The requests' names.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    files: Files,
    /// Write it again where it has been said already.
    #[arg(long)]
    force: bool,
    /// How to show the requests: name, yaml, kyaml, json, jsonpath=...
    #[arg(short, long)]
    output: Option<Output>,
    /// Also show who set which field.
    #[arg(long)]
    show_managed_fields: bool,
}

/// What is said to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Approved,
    Denied,
}

impl Verdict {
    fn condition(self) -> &'static str {
        match self {
            Self::Approved => "Approved",
            Self::Denied => "Denied",
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
        }
    }
}

impl CertificateVerb {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::Approve(certificate) => certificate.say(global, Verdict::Approved).await,
            Self::Deny(certificate) => certificate.say(global, Verdict::Denied).await,
        }
    }
}

impl Certificate {
    async fn say(self, global: &Global, verdict: Verdict) -> anyhow::Result<()> {
        if self.names.is_empty() && self.files.filename.is_empty() {
            bail!("one or more CSRs must be specified as <name> or -f <filename>");
        }
        let session = Session::open(global).await?;
        let words: Vec<String> = match self.names.as_slice() {
            [] => Vec::new(),
            names => std::iter::once("csr".to_owned()).chain(names.iter().cloned()).collect(),
        };
        let wanted = Wanted {
            words: &words,
            files: &self.files,
            selection: &Selection::default(),
            kind_is_enough: false,
        };
        let (found, mut errors) = wanted.find(&session).await?;
        let writing = Writing {
            output: self.output.clone(),
            show_managed_fields: self.show_managed_fields,
            ..Writing::default()
        };
        let mut teller = writing.teller();
        for named in found {
            if let Err(error) = self.one(&session, &mut teller, &named, verdict).await {
                errors.push(error);
            }
        }
        finish(errors)
    }

    async fn one(
        &self,
        session: &Session,
        teller: &mut Teller<'_>,
        named: &Named,
        verdict: Verdict,
    ) -> anyhow::Result<()> {
        if named.resource.kind != "CertificateSigningRequest" {
            bail!(
                "can only handle certificates.k8s.io/v1 certificate signing requests, not {}",
                named.shown()
            );
        }
        let mut attempts = 0;
        let object = loop {
            let mut request = session.get(&named.path()).await?;
            if !judge(&mut request, verdict, Timestamp::now())? && !self.force {
                break request;
            }
            let path = format!("{}/approval", named.path());
            match session.send(Method::PUT, &path, "application/json", &request).await {
                Err(failure) if failure.code() == Some(409) && attempts < ATTEMPTS => attempts += 1,
                answer => break answer?,
            }
        };
        Ok(teller.tell(&named.resource, &object, verdict.told())?)
    }
}

/// Puts a verdict on a request; false where it is there already. Pure.
fn judge(request: &mut Value, verdict: Verdict, now: Timestamp) -> anyhow::Result<bool> {
    let opposite = match verdict {
        Verdict::Approved => Verdict::Denied,
        Verdict::Denied => Verdict::Approved,
    };
    let has = |request: &Value, verdict: Verdict| {
        let conditions = request["status"]["conditions"].as_array();
        conditions.is_some_and(|list| list.iter().any(|condition| condition["type"] == verdict.condition()))
    };
    if has(request, opposite) {
        bail!(
            "certificate signing request {} is already {}",
            request["metadata"]["name"],
            opposite.condition()
        );
    }
    if has(request, verdict) {
        return Ok(false);
    }
    let (reason, verb) = match verdict {
        Verdict::Approved => ("KubectlApprove", "approve"),
        Verdict::Denied => ("KubectlDeny", "deny"),
    };
    let condition = json!({
        "type": verdict.condition(), "status": "True", "reason": reason,
        "message": format!("This CSR was {} by kubectl certificate {verb}.", verdict.told()),
        "lastUpdateTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    match request["status"]["conditions"].as_array_mut() {
        Some(conditions) => conditions.push(condition),
        None => request["status"]["conditions"] = json!([condition]),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_said_once_and_never_turned_round() {
        let mut request = json!({"metadata": {"name": "r"}});
        assert!(judge(&mut request, Verdict::Approved, Timestamp::UNIX_EPOCH).expect("fine"));
        assert_eq!(
            request["status"]["conditions"],
            json!([{"type": "Approved", "status": "True", "reason": "KubectlApprove",
                "message": "This CSR was approved by kubectl certificate approve.", "lastUpdateTime": "1970-01-01T00:00:00Z"}])
        );
        assert!(!judge(&mut request, Verdict::Approved, Timestamp::UNIX_EPOCH).expect("fine"));
        let error = judge(&mut request, Verdict::Denied, Timestamp::UNIX_EPOCH).expect_err("approved already");
        assert_eq!(
            error.to_string(),
            "certificate signing request \"r\" is already Approved"
        );
    }
}
