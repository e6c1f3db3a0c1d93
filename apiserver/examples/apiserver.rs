//! An API server by itself, with certificates of its own and a kubeconfig, for trying kubectl against it:
//!
//!     cargo run -p minik-apiserver --example apiserver -- /tmp/try 16443
//!     kubectl --kubeconfig /tmp/try/kubeconfig get namespaces

use std::path::{Path, PathBuf};
use std::{fs, io};

#[path = "../tests/support/credentials.rs"]
mod credentials;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("usage: apiserver DIRECTORY PORT")?);
    let port = arguments.next().ok_or("usage: apiserver DIRECTORY PORT")?.parse()?;
    let at = |name: &str| directory.join(name);
    if !at("kubeconfig").exists() {
        credentials::write(&directory);
        write_kubeconfigs(&directory, port)?;
    }
    let config = minik_apiserver::Config {
        data_dir: at("data"),
        bind_address: vec!["127.0.0.1".parse()?],
        port,
        tls_cert_file: at("server.crt"),
        tls_private_key_file: at("server.key"),
        client_ca_file: at("ca.crt"),
        kubelet_client_certificate: Some(at("admin.crt")),
        kubelet_client_key: Some(at("admin.key")),
        kubelet_certificate_authority: Some(at("ca.crt")),
        proxy_client_cert_file: Some(at("proxy.crt")),
        proxy_client_key_file: Some(at("proxy.key")),
        requestheader_client_ca_file: Some(at("ca.crt")),
        requestheader_allowed_names: vec!["front-proxy-client".into()],
        service_cidr: "10.96.0.0/16".parse()?,
        token_auth_file: None,
        service_account_issuer: "https://kubernetes.default.svc.cluster.local".into(),
        service_account_signing_key_file: None,
        api_audiences: Vec::new(),
        root_ca_file: None,
        event_ttl: jiff::SignedDuration::from_hours(1),
        limits: minik_apiserver::Limits::default(),
    };
    Ok(minik_apiserver::run(config).await?)
}

fn write_kubeconfigs(directory: &Path, port: u16) -> io::Result<()> {
    let here = directory.display();
    for (user, file) in [
        ("admin", "kubeconfig"),
        ("node", "kubeconfig.node"),
        ("eve", "kubeconfig.eve"),
    ] {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: try\n\
             clusters: [{{name: try, cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority: {here}/ca.crt}}}}]\n\
             users: [{{name: try, user: {{client-certificate: {here}/{user}.crt, client-key: {here}/{user}.key}}}}]\n\
             contexts: [{{name: try, context: {{cluster: try, user: try}}}}]\n"
        );
        fs::write(directory.join(file), text)?;
    }
    Ok(())
}
