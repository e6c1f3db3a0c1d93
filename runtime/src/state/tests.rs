use std::fs;
use std::path::PathBuf;

use minik_api::cri;

use super::*;

fn container(id: &str) -> ContainerRecord {
    ContainerRecord {
        id: id.to_owned(),
        sandbox_id: "5a".to_owned(),
        created_at_nanos: 7,
        phase: ContainerPhase::Created,
        image_id: "sha256:00".to_owned(),
        image_reference: "sha256:00".to_owned(),
        image_name: "sha256:00".to_owned(),
        log_path: None,
        stop_signal: 15,
        cgroup: PathBuf::from("/minik/5a"),
        user: container::UserRecord::default(),
        config: cri::ContainerConfig {
            command: vec!["sh".to_owned()],
            tty: true,
            ..Default::default()
        },
    }
}

fn store(directory: &tempfile::TempDir) -> (Store<ContainerRecord>, Vec<String>) {
    Store::open(directory.path()).expect("open the store")
}

#[test]
fn records_are_found_again_as_they_were() {
    let directory = tempfile::tempdir().expect("a directory");
    let entry = store(&directory).0.insert(container("ab12")).expect("insert");
    let exit = Exit::ended(137, true, 8, 9);
    assert!(entry.update(|record| record.exit(exit.clone())).expect("update"));

    let (again, unreadable) = store(&directory);
    let record = again.find("ab12").expect("it is there").get();
    assert_eq!(record, entry.get());
    assert_eq!(record.phase, ContainerPhase::Exited(exit));
    assert_eq!((record.config.command, unreadable), (vec!["sh".to_owned()], vec![]));
}

#[test]
fn the_first_news_of_an_end_stays() {
    let mut record = container("ab");
    assert!(record.exit(Exit::ended(0, false, 1, 2)));
    assert!(!record.exit(Exit::ended(137, false, 1, 3)));
    assert_eq!(record.phase, ContainerPhase::Exited(Exit::ended(0, false, 1, 2)));
}

#[test]
fn beginnings_of_ids_name_records_while_they_are_unambiguous() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = store(&directory);
    for id in ["ab1", "ab2", "ab"] {
        store.insert(container(id)).expect("insert");
    }
    assert_eq!(store.find("ab1").map(|entry| entry.get().id), Ok("ab1".to_owned()));
    assert_eq!(store.find("ab").map(|entry| entry.get().id), Ok("ab".to_owned()));
    assert!(matches!(store.find("a").map(|_| ()), Err(Lookup::Ambiguous { .. })));
    for absent in ["", "b", "ab11"] {
        let error = store.find(absent).map(|_| ()).expect_err("nothing of that name");
        assert_eq!(error.to_string(), format!("container {absent:?} not found"));
    }
    store.remove("ab").expect("remove");
    store.remove("ab").expect("remove again");
    assert!(matches!(store.find("ab").map(|_| ()), Err(Lookup::Ambiguous { .. })));
}

#[test]
fn what_a_power_loss_left_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    store(&directory).0.insert(container("ab")).expect("insert");
    for (id, text) in [("empty", ""), ("cut", "{\"id\": \"cu"), ("other", "")] {
        fs::create_dir(directory.path().join(id)).expect("a directory");
        fs::write(directory.path().join(id).join("record.json"), text).expect("a damaged record");
    }
    // A record under another's name would be two things at once.
    fs::copy(
        directory.path().join("ab/record.json"),
        directory.path().join("other/record.json"),
    )
    .expect("copy");
    let (store, mut unreadable) = store(&directory);
    unreadable.sort();
    assert_eq!(unreadable, ["cut", "empty", "other"]);
    assert_eq!(store.all().len(), 1);
}

#[tokio::test]
async fn waiting_ends_with_the_transition() {
    let directory = tempfile::tempdir().expect("a directory");
    let entry = store(&directory).0.insert(container("ab")).expect("insert");
    let exited = |record: &ContainerRecord| matches!(record.phase, ContainerPhase::Exited(_));
    let (_, changed) = tokio::join!(entry.wait_for(exited), async {
        tokio::task::yield_now().await;
        entry.update(|record| record.exit(Exit::start_error("no such file".to_owned(), 1)))
    });
    assert!(changed.expect("update"));
}
