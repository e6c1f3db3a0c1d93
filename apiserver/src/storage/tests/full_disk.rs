//! A full disk: writes fail and say why, what was acknowledged stays readable, and writing goes on when there is space again.

use std::fs;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::*;

/// In a mount namespace of this thread's own, so that nothing is left behind.
#[test]
fn a_full_disk_fails_writes_and_nothing_else() {
    std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNS).expect("unshare(CLONE_NEWNS) needs root: run the tests as root (sudo)");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private mounts");
        let place = tempfile::tempdir().expect("a directory");
        let flags = MsFlags::empty();
        mount(Some("tmpfs"), place.path(), Some("tmpfs"), flags, Some("size=16m")).expect("a small disk");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(fill(place.path()));
        nix::mount::umount2(place.path(), nix::mount::MntFlags::MNT_DETACH).expect("our own mount");
    })
    .join()
    .expect("the test thread");
}

async fn fill(place: &Path) {
    let ballast = place.join("ballast");
    let (store, writer) = open(place);
    store
        .write(key("first"), Expect::Absent, put("first", "1"))
        .await
        .expect("there is space");
    fs::write(&ballast, vec![1; 8 << 20]).expect("there is space for that");
    let mut acknowledged = vec!["first".to_owned()];
    let failure = loop {
        let name = format!("n{}", acknowledged.len());
        match store
            .write(key(&name), Expect::Absent, put(&name, &"z".repeat(30_000)))
            .await
        {
            Ok(_) => acknowledged.push(name),
            Err(error) => break error,
        }
    };
    let told = chain(&failure);
    assert!(told.contains("No space left on device"), "{told}");
    let again = store
        .write(key("more"), Expect::Absent, put("more", &"z".repeat(30_000)))
        .await;
    for refused in [Err(failure), again] {
        // Refused before sled wrote anything: it doesn't survive a write that fails.
        assert!(
            matches!(&refused, Err(WriteError::Backend(error)) if error.to_string().contains("allocate space")),
            "{refused:?}"
        );
    }
    for name in &acknowledged {
        assert!(store.get(&key(name)).is_some(), "{name} can't be read any more");
    }
    fs::remove_file(&ballast).expect("our own file");
    store
        .write(key("more"), Expect::Absent, put("more", "1"))
        .await
        .expect("there is space again");
    acknowledged.push("more".to_owned());
    close(store, writer).await;
    let (store, writer) = open(place);
    let names: std::collections::BTreeSet<String> = {
        let snapshot = store.snapshot("configmaps");
        let objects = snapshot.objects("configmaps", "", None);
        objects.map(|stored| stored.key.name().to_owned()).collect()
    };
    assert_eq!(names, acknowledged.into_iter().collect());
    close(store, writer).await;
}
