//! placeholder
use crate::Config;
use crate::context::Context;
use crate::pods::Known;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::watch;
pub(crate) async fn listen(
    _c: &Config,
    _x: Arc<Context>,
    _k: watch::Receiver<Arc<Known>>,
) -> Result<impl Future<Output = ()>, std::io::Error> {
    Ok(std::future::pending())
}
