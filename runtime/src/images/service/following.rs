//! Pulls, imports and pushes with their pictures, for the one client that asked.

use minik_api::images::Progress;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tonic::Status;

use crate::images::Images;
use crate::images::reference::Reference;
use crate::images::registry::Access;

type Sender = mpsc::Sender<Result<Progress, Status>>;

/// Shows the pictures of one pull, then how it ended.
pub(super) async fn pull(images: &Images, reference: &Reference, access: Access, sender: &Sender) {
    let mut pictures = images.progress();
    let name = reference.to_string();
    let of_this = |picture: &Progress| picture.image == name;
    let (end, last) = forwarding(&mut pictures, sender, of_this, images.pull_by(reference, access)).await;
    let end = end
        .map(|image| with_picture(finished(name.clone(), image.id.to_string()), last))
        .map_err(|error| error.to_status());
    let _ = sender.send(end).await;
}

pub(super) async fn import(images: &Images, archive: impl tokio::io::AsyncRead + Send + Unpin, sender: &Sender) {
    let board = images.inner.board.child();
    let (_, mut pictures) = board.watch();
    let (end, _) = forwarding(&mut pictures, sender, |_| true, images.import_shown_on(&board, archive)).await;
    match end {
        Ok(imported) => {
            for image in imported {
                let name = image.tags.first().cloned().unwrap_or_else(|| image.id.to_string());
                let _ = sender.send(Ok(finished(name, image.id.to_string()))).await;
            }
        }
        Err(error) => drop(sender.send(Err(error.to_status())).await),
    }
}

/// Shows the pictures of one push, then under which digest the registry has it.
pub(super) async fn push(images: &Images, image: &str, to: &Reference, access: Access, sender: &Sender) {
    let board = images.inner.board.child();
    let (_, mut pictures) = board.watch();
    let push = images.push_shown_on(&board, image, to, access);
    let (end, last) = forwarding(&mut pictures, sender, |_| true, push).await;
    let end = end
        .map(|digest| with_picture(finished(to.to_string(), digest.to_string()), last))
        .map_err(|error| error.to_status());
    let _ = sender.send(end).await;
}

/// Runs a task while its pictures go to the client; those that end something are left to the caller. The last picture comes
/// back too: a client that reads slowly may have missed it.
async fn forwarding<T>(
    pictures: &mut broadcast::Receiver<Progress>,
    sender: &Sender,
    wanted: impl Fn(&Progress) -> bool,
    task: impl Future<Output = T>,
) -> (T, Option<Progress>) {
    tokio::pin!(task);
    let mut last = None;
    loop {
        tokio::select! {
            // What was drawn before the end is looked at before the end is.
            biased;
            Some(picture) = next(pictures) => {
                if !wanted(&picture) {
                    continue;
                }
                if picture.image_ref.is_empty() && picture.error.is_empty() {
                    // A client that reads slowly misses a picture: the next one shows all that it did.
                    let _ = sender.try_send(Ok(picture.clone()));
                }
                last = Some(picture);
            }
            end = &mut task => {
                while let Ok(picture) = pictures.try_recv() {
                    last = Some(picture).filter(|picture| wanted(picture)).or(last);
                }
                return (end, last);
            }
        }
    }
}

/// The next picture; what was missed is in it.
pub(super) async fn next(pictures: &mut broadcast::Receiver<Progress>) -> Option<Progress> {
    loop {
        match pictures.recv().await {
            Ok(picture) => return Some(picture),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

/// The last message: what came of it.
pub(super) fn finished(name: String, image_ref: String) -> Progress {
    Progress {
        image: name,
        image_ref,
        ..Progress::default()
    }
}

fn with_picture(end: Progress, last: Option<Progress>) -> Progress {
    let (layers, documents) = last.map(|last| (last.layers, last.documents)).unwrap_or_default();
    Progress {
        layers,
        documents,
        ..end
    }
}
