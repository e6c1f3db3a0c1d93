//! Files cut off or damaged anywhere: the store opens with everything, or is set aside and replaced by the snapshot.

use std::fs;
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

/// How many places in each file.
const CUTS: usize = 40;
const FLIPS: usize = 60;

/// A store with a past: objects, changes, removals, one large value; and a snapshot in the middle of it.
fn original(directory: &Path) -> BTreeSet {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (store, writer) = open(directory);
        for n in 0..40 {
            let name = format!("n{n}");
            store
                .write(key(&name), Expect::Absent, put(&name, &"x".repeat(n * 40)))
                .await
                .expect("new");
        }
        store.write_snapshot(directory).expect("a snapshot");
        for n in 0..20 {
            let name = format!("n{n}");
            let at = store.get(&key(&name)).expect("written").revision;
            store
                .write(key(&name), Expect::At(at), put(&name, "changed"))
                .await
                .expect("unchanged");
        }
        for n in 10..20 {
            let name = format!("n{n}");
            let at = store.get(&key(&name)).expect("written").revision;
            let remove = Change::Remove(Box::new(object(&name, "")));
            store
                .write(key(&name), Expect::At(at), remove)
                .await
                .expect("unchanged");
        }
        store
            .write(key("large"), Expect::Absent, put("large", &"y".repeat(400_000)))
            .await
            .expect("new");
        let content = content(&store);
        close(store, writer).await;
        content
    })
}

type BTreeSet = std::collections::BTreeSet<(String, u64)>;

fn content(store: &Store) -> BTreeSet {
    let snapshot = store.snapshot("configmaps");
    let objects = snapshot.objects("configmaps", "", None);
    objects
        .map(|stored| (stored.key.as_str().to_owned(), stored.revision.0))
        .collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).expect("below it"));
        fs::create_dir_all(target.parent().expect("a file has a directory")).expect("a directory");
        fs::copy(&file, target).expect("a copy");
    }
    fs::create_dir_all(to.join("store/blobs")).expect("a directory");
}

/// Opens a damaged copy; says whether it was set aside.
fn survives(original: &Path, whole: &BTreeSet, what: &str, damage: impl FnOnce(&Path)) -> bool {
    let place = tempfile::tempdir().expect("a directory");
    copy(original, place.path());
    damage(place.path());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (store, writer) = open(place.path());
        let found = content(&store);
        let entries = fs::read_dir(place.path()).expect("the directory").flatten();
        let aside = entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("store.damaged-"))
            .count();
        if aside == 0 {
            assert!(
                found == *whole,
                "{what}: opened, but not with everything: {} of {}",
                found.len(),
                whole.len()
            );
        } else {
            assert_eq!(found.len(), 40, "{what}: set aside, but the snapshot wasn't taken");
            let last = whole.iter().map(|(_, revision)| *revision).max().unwrap_or(0);
            assert!(store.revision().0 > last, "{what}: revisions are given out twice");
        }
        store
            .write(key("after"), Expect::Absent, put("after", "1"))
            .await
            .expect("it can be written to");
        close(store, writer).await;
        aside > 0
    })
}

#[test]
fn files_cut_off_anywhere_open_clean_or_are_set_aside() {
    let original_place = tempfile::tempdir().expect("a directory");
    let whole = original(original_place.path());
    assert!(!survives(original_place.path(), &whole, "no damage", |_| ()));
    let mut random = StdRng::seed_from_u64(1);
    let mut set_aside = 0;
    for file in files(&original_place.path().join("store")) {
        let name = file.strip_prefix(original_place.path()).expect("below it").to_owned();
        let length = fs::metadata(&file).expect("a file").len();
        let mut cuts: Vec<u64> = (0..CUTS).map(|_| random.random_range(0..length)).collect();
        cuts.extend([0, length / 2, length - 1]);
        for cut in cuts {
            let what = format!("{} cut to {cut} of {length} bytes", name.display());
            let aside = survives(original_place.path(), &whole, &what, |place| {
                let file = fs::OpenOptions::new()
                    .write(true)
                    .open(place.join(&name))
                    .expect("the copy");
                file.set_len(cut).expect("cut off");
            });
            set_aside += usize::from(aside);
        }
    }
    assert!(set_aside > 0, "no cut did any harm, so nothing was tested");
}

#[test]
fn files_damaged_anywhere_open_clean_or_are_set_aside() {
    let original_place = tempfile::tempdir().expect("a directory");
    let whole = original(original_place.path());
    let mut random = StdRng::seed_from_u64(2);
    let mut set_aside = 0;
    for file in files(&original_place.path().join("store")) {
        let name = file.strip_prefix(original_place.path()).expect("below it").to_owned();
        let length = fs::metadata(&file).expect("a file").len();
        for flip in 0..FLIPS {
            let at = usize::try_from(random.random_range(0..length)).expect("small files");
            // One bit, or a torn page of zeroes.
            let what = format!("{} damaged at {at} of {length} bytes", name.display());
            let zeroes = flip % 3 == 0;
            let bit = 1u8 << random.random_range(0..8);
            let aside = survives(original_place.path(), &whole, &what, |place| {
                let path = place.join(&name);
                let mut bytes = fs::read(&path).expect("the copy");
                if zeroes {
                    let end = bytes.len().min(at + 512);
                    bytes[at..end].fill(0);
                } else {
                    bytes[at] ^= bit;
                }
                fs::write(&path, bytes).expect("the damaged copy");
            });
            set_aside += usize::from(aside);
        }
    }
    assert!(set_aside > 0, "no damage did any harm, so nothing was tested");
}

#[test]
fn a_missing_file_is_damage() {
    let original_place = tempfile::tempdir().expect("a directory");
    let whole = original(original_place.path());
    for name in ["store/db", "store/conf"] {
        let aside = survives(original_place.path(), &whole, name, |place| {
            fs::remove_file(place.join(name)).expect("the copy");
        });
        assert!(aside || name == "store/conf", "{name} can't be done without");
    }
}

#[test]
fn a_broken_snapshot_is_passed_over() {
    let original_place = tempfile::tempdir().expect("a directory");
    let whole = original(original_place.path());
    let snapshot = snapshot::list(&original_place.path().join("snapshots"))
        .expect("snapshots")
        .remove(0);
    let text = fs::read(&snapshot).expect("a snapshot");
    let newer = snapshot.with_file_name("99999999999999999999.snapshot");
    for end in [0, 10, text.len() / 2, text.len() - 1] {
        fs::write(&newer, &text[..end]).expect("a broken snapshot");
        let aside = survives(original_place.path(), &whole, "broken snapshot", |place| {
            fs::write(place.join("store/db"), b"nothing of ours").expect("the copy");
        });
        assert!(aside);
    }
}

#[test]
fn a_store_is_open_once() {
    let place = tempfile::tempdir().expect("a directory");
    let (_store, _writer) = open(place.path());
    let second = Store::open(place.path(), |_, _| Vec::new());
    assert!(matches!(second.map(|_| ()), Err(OpenError::InUse(_))));
}
