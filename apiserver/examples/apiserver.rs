//! An API server by itself, with certificates of its own and a kubeconfig, for trying kubectl against it:
//!
//!     cargo run -p minik-apiserver --example apiserver -- /tmp/try 16443
//!     kubectl --kubeconfig /tmp/try/kubeconfig get namespaces
#![allow(clippy::unwrap_used, reason = "an example")]

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("usage: apiserver DIRECTORY PORT")?);
    let port = arguments.next().ok_or("usage: apiserver DIRECTORY PORT")?.parse()?;
    let at = |name: &str| directory.join(name);
    if !at("kubeconfig").exists() {
        make_credentials(&directory, port);
    }
    let config = minik_apiserver::Config {
        data_dir: at("data"),
        bind_address: vec!["127.0.0.1".parse()?],
        port,
        tls_cert_file: at("server.crt"),
        tls_private_key_file: at("server.key"),
        client_ca_file: at("ca.crt"),
        kubelet_client_certificate: None,
        kubelet_client_key: None,
        kubelet_certificate_authority: None,
        service_cidr: "10.96.0.0/16".parse()?,
    };
    Ok(minik_apiserver::run(config).await?)
}

fn make_credentials(directory: &Path, port: u16) {
    fs::create_dir_all(directory).unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(directory.join("ca.crt"), certificate.pem()).unwrap();
    let issuer = Issuer::new(params, key);
    for (name, user, group) in [
        ("server", "apiserver", ""),
        ("admin", "admin", "system:masters"),
        ("node", "system:node:n1", "system:nodes"),
        ("eve", "eve", "people"),
    ] {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, user);
        params.distinguished_name.push(DnType::OrganizationName, group);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        fs::write(directory.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    for user in ["admin", "node", "eve"] {
        let here = directory.display();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: try\n\
             clusters: [{{name: try, cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority: {here}/ca.crt}}}}]\n\
             users: [{{name: try, user: {{client-certificate: {here}/{user}.crt, client-key: {here}/{user}.key}}}}]\n\
             contexts: [{{name: try, context: {{cluster: try, user: try}}}}]\n"
        );
        let name = if user == "admin" {
            "kubeconfig".to_owned()
        } else {
            format!("kubeconfig.{user}")
        };
        fs::write(directory.join(name), text).unwrap();
    }
}
