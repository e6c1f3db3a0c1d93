//! The trace context of a request: from gRPC metadata to the task that does the work, and from there to the shim.

use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::Request;
use minik_api::trace::{HEADER, Traceparent};
use tower::{Layer, Service};

use crate::shim::TRACEPARENT;

/// Puts the caller's trace context around the work on its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TraceLayer;

/// A service with that around it.
#[derive(Clone, Debug)]
pub(crate) struct Traced<S>(S);

impl<S> Layer<S> for TraceLayer {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Traced<S> {
        Traced(inner)
    }
}

impl<S, B> Service<Request<B>> for Traced<S>
where
    S: Service<Request<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let header = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
        let caller: Option<Traceparent> = header.and_then(|text| text.parse().ok());
        let work = self.0.call(request);
        match caller {
            Some(caller) => TRACEPARENT.scope(caller.child(), work).boxed(),
            None => work.boxed(),
        }
    }
}

/// The same context for a task that goes on without the request.
pub(super) fn in_this_trace<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> BoxFuture<'static, T> {
    match TRACEPARENT.try_with(|context| *context) {
        Ok(context) => TRACEPARENT.scope(context, work).boxed(),
        Err(_) => work.boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_goes_on_keeps_the_callers_trace() {
        let caller: Traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
            .parse()
            .expect("a context");
        let seen = || async { TRACEPARENT.try_with(Traceparent::to_string).ok() };
        let mut service = TraceLayer.layer(tower::service_fn(move |_: Request<()>| async move {
            let task = tokio::spawn(in_this_trace(seen()));
            Ok::<_, std::convert::Infallible>(task.await.expect("the task"))
        }));
        let request = Request::builder()
            .header(HEADER, caller.to_string())
            .body(())
            .expect("a request");
        let text = service.call(request).await.expect("infallible").expect("a context");
        assert_eq!(text[..36], caller.to_string()[..36], "the same trace");
        assert_ne!(text, caller.to_string(), "one span deeper");
        assert_eq!(service.call(Request::new(())).await, Ok(None));
    }
}
