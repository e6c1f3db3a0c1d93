//! Images on their way out of the runtime: an archive that comes in pieces, to a file that is whole or not there.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use futures::StreamExt as _;
use minik_api::images::ExportRequest;

use super::runtime::Runtime;

/// Writes what the runtime exports to a file, or with `-` to standard output.
///
/// # Errors
/// An image isn't here, or the file can't be written.
pub async fn save(runtime: &Runtime, request: ExportRequest, out: &Path) -> anyhow::Result<()> {
    let mut pieces = runtime.images().export(request).await?.into_inner();
    if out == Path::new("-") {
        let mut stdout = std::io::stdout().lock();
        while let Some(piece) = pieces.next().await {
            stdout.write_all(&piece?.data)?;
        }
        return Ok(stdout.flush()?);
    }
    let failed = || format!("can't write {}", out.display());
    let mut partial = out.as_os_str().to_owned();
    partial.push(".partial");
    let written = async {
        let mut file = std::fs::File::create(&partial).with_context(failed)?;
        while let Some(piece) = pieces.next().await {
            file.write_all(&piece?.data).with_context(failed)?;
        }
        file.sync_all().with_context(failed)?;
        std::fs::rename(&partial, out).with_context(failed)
    };
    written.await.inspect_err(|_| {
        // Half an archive is no archive.
        let _ = std::fs::remove_file(&partial);
    })
}
