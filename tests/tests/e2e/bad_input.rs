//! What users get wrong, and what they are told.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kube::config::Kubeconfig;
use minik_tests::{Run, World, executable};
use serde_json::json;

use crate::{SERVE, node, pod};

#[test]
fn manifests_that_are_wrong_say_where_and_the_good_documents_are_applied() {
    let world = node();
    let good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n";
    for (number, (bad, parts)) in [
        ("a: b: c", &["document 2"][..]),
        ("apiVersion: v1\nmetadata: {name: x}", &["kind"]),
        ("apiVersion: v1\nkind: Pot\nmetadata: {name: x}", &["Pot", "Pod"]),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {contaners: []}",
            &[r#"unknown field "spec.contaners""#],
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: c}]}",
            &["spec.containers[0].image: Required value"],
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: 1}",
            &["data"],
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: X_}",
            &["metadata.name: Invalid value: \"X_\""],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let file = world.folder().join(format!("bad-{number}.yaml"));
        fs::write(&file, format!("{good}---\n{bad}\n")).expect("the manifest is written");
        let output = world.minikctl(["apply", "-f"]).args([&file]).output();
        assert_eq!(output.code, 1, "{output}");
        assert!(
            output.stdout.contains("configmap/good"),
            "the good document is applied: {output}"
        );
        for part in parts {
            assert!(output.stderr.contains(part), "{part} is missing: {output}");
        }
        let left = world
            .minikctl([
                "get",
                "pods,configmaps",
                "--field-selector",
                "metadata.name=x",
                "-o",
                "name",
            ])
            .ok();
        assert_eq!(left, "", "nothing of the bad document is stored");
    }
}

#[test]
fn a_node_that_is_not_up_is_named_with_the_command_that_starts_it() {
    let world = World::up();
    let _ = world.minikctl(["down"]).ok();
    let refused = world.minikctl(["get", "pods"]).fails();
    assert!(refused.contains("minikctl up"), "{refused}");
    world.start();
}

#[test]
fn typing_mistakes_get_a_suggestion() {
    let world = node();
    world.apply(&pod("typed", SERVE, json!({})));
    let verb = world.minikctl(["aply", "-f", "x"]).fails();
    assert!(verb.contains("apply"), "{verb}");
    let kind = world.minikctl(["get", "pots"]).fails();
    assert!(kind.contains("pods"), "{kind}");
    let flag = world.minikctl(["get", "pods", "--namespce", "x"]).fails();
    assert!(flag.contains("--namespace"), "{flag}");
}

#[test]
fn a_server_that_is_not_there_is_told_from_one_that_refuses() {
    let world = World::up();
    let with_server = |server: &str| {
        changed(&world, |config| {
            for cluster in config
                .clusters
                .iter_mut()
                .filter_map(|cluster| cluster.cluster.as_mut())
            {
                cluster.server = Some(server.to_owned());
            }
        })
    };
    // There is no route to anywhere in this world.
    let nowhere = get_pods(&world, &with_server("https://192.0.2.1:6443"));
    assert!(nowhere.contains("Unable to connect to the server: "), "{nowhere}");
    assert!(
        nowhere.contains("nreachable") && nowhere.contains("minikctl up"),
        "{nowhere}"
    );
    let refused = get_pods(&world, &with_server("https://127.0.0.1:1"));
    assert!(
        refused.contains("The connection to the server 127.0.0.1:1 was refused"),
        "{refused}"
    );
    assert!(refused.contains("minikctl up"), "{refused}");

    // Something else listens there, and doesn't speak TLS.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let answering = std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().expect("minikctl connects");
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .expect("the answer is sent");
    });
    let stranger = get_pods(&world, &with_server(&format!("https://127.0.0.1:{port}")));
    answering.join().expect("it answered");
    assert!(
        stranger.contains("Does a Kubernetes API server listen there?"),
        "{stranger}"
    );
}

#[test]
fn certificates_that_do_not_fit_are_told_apart() {
    let world = World::up();
    // The node's life before: another authority, and a client that the node of today doesn't know.
    let earlier = world.folder().join("earlier");
    fs::copy(world.kubeconfig(), &earlier).expect("the kubeconfig is kept");
    let _ = world.minikctl(["down", "--purge"]).ok();
    world.start();
    let stranger = get_pods(&world, &earlier);
    assert!(
        stranger.contains("Unable to connect to the server: tls: "),
        "{stranger}"
    );
    assert!(
        stranger.contains("Another authority") && stranger.contains("minikctl up"),
        "{stranger}"
    );

    let old = Kubeconfig::read_from(&earlier).expect("a kubeconfig");
    let unknown = changed(&world, |config| config.auth_infos.clone_from(&old.auth_infos));
    let refused = get_pods(&world, &unknown);
    assert!(
        refused.contains("client certificate") || refused.contains("must be logged in"),
        "{refused}"
    );
    assert!(refused.contains("minikctl up"), "{refused}");

    let (certificate, key) = expired(&world);
    let late = changed(&world, |config| {
        for user in config.auth_infos.iter_mut().filter_map(|user| user.auth_info.as_mut()) {
            (user.client_certificate_data, user.client_key_data) = (None, None);
            user.client_certificate = Some(certificate.display().to_string());
            user.client_key = Some(key.display().to_string());
        }
    });
    let refused = get_pods(&world, &late);
    assert!(refused.contains("xpired"), "{refused}");
    assert!(refused.contains("minikctl up"), "{refused}");
}

#[test]
fn a_kubeconfig_that_can_not_be_used_is_named_with_what_is_wrong() {
    let world = World::up();
    let file = world.folder().join("bad");
    fs::write(&file, "clusters: [\n").expect("the file is written");
    let broken = get_pods(&world, &file);
    assert!(broken.starts_with("error: ") && broken.contains("/bad"), "{broken}");
    let missing = get_pods(&world, &world.folder().join("nosuchfile"));
    assert!(
        missing.contains("no kubeconfig at ") && missing.contains("minikctl up"),
        "{missing}"
    );
    let context = world.minikctl(["get", "pods", "--context", "wrong"]).fails();
    assert!(
        context.contains("wrong") && context.contains(&world.context()),
        "the contexts that there are help: {context}"
    );
    let dangling = changed(&world, |config| config.clusters.clear());
    let dangling = get_pods(&world, &dangling);
    assert!(
        dangling.starts_with("error: ") && dangling.contains("cluster"),
        "{dangling}"
    );
}

#[test]
fn without_root_the_command_that_has_it_is_said() {
    let world = World::new();
    // Nobody may look into the folder of the build, perhaps.
    let executable = world.folder().join("minikctl");
    fs::copy(executable::minikctl(), &executable).expect("the executable is copied");
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(world.folder(), open).expect("the folder is opened");
    for verb in ["up", "down"] {
        let nobody = Run::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .args([executable.as_os_str(), verb.as_ref()]);
        let refused = world.in_world(nobody).fails();
        assert!(refused.contains("needs root"), "{refused}");
        let command = format!("sudo {} {verb} --instance {}", executable.display(), world.instance());
        assert!(refused.contains(&command), "{command} is missing: {refused}");
    }
}

/// What `get pods` complains about with another kubeconfig.
fn get_pods(world: &World, kubeconfig: &Path) -> String {
    world
        .minikctl(["get", "pods", "--kubeconfig"])
        .args([kubeconfig])
        .fails()
}

/// A copy of the world's kubeconfig with a change.
fn changed(world: &World, change: impl FnOnce(&mut Kubeconfig)) -> PathBuf {
    let mut config = Kubeconfig::read_from(world.kubeconfig()).expect("a kubeconfig");
    change(&mut config);
    let file = world.folder().join("changed");
    fs::write(&file, serde_yaml::to_string(&config).expect("it is data")).expect("the file is written");
    file
}

/// A client certificate of the node's own authority that was good for a day, long ago, and its key.
fn expired(world: &World) -> (PathBuf, PathBuf) {
    let pki = world.data().join("pki");
    let read = |name: &str| fs::read_to_string(pki.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let authority = rcgen::KeyPair::from_pem(&read("ca.key")).expect("the authority's key");
    let issuer = rcgen::Issuer::from_ca_cert_pem(&read("ca.crt"), authority).expect("the authority");
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut wanted = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    wanted.distinguished_name.push(rcgen::DnType::CommonName, "minik-admin");
    wanted
        .distinguished_name
        .push(rcgen::DnType::OrganizationName, "system:masters");
    wanted.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    wanted.not_before = rcgen::date_time_ymd(2020, 1, 1);
    wanted.not_after = rcgen::date_time_ymd(2020, 1, 2);
    let certificate = wanted.signed_by(&key, &issuer).expect("a certificate");
    let (file, key_file) = (world.folder().join("late.crt"), world.folder().join("late.key"));
    fs::write(&file, certificate.pem()).expect("the certificate is written");
    fs::write(&key_file, key.serialize_pem()).expect("the key is written");
    (file, key_file)
}
