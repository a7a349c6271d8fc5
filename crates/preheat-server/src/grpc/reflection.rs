//! Server reflection: what the services of this build look like, for clients that ask. The
//! descriptors are read when the first one does: few ever ask, and every replica would hold what is
//! read of them for itself.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::http::Request;
use preheat_api::grpc::DESCRIPTORS;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_reflection::server::Builder;
use tower::Service;

/// Adds both versions of the service; clients of either are about.
pub fn add_to(routes: Routes) -> Routes {
    const READABLE: &str = "the descriptors are part of this build, and a test has read them";
    routes
        .add_service(Lazy::new(|| descriptors().build_v1().expect(READABLE)))
        .add_service(Lazy::new(|| descriptors().build_v1alpha().expect(READABLE)))
}

fn descriptors() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// A service that is made when the first call for it comes.
struct Lazy<S> {
    made: Arc<OnceLock<S>>,
    make: fn() -> S,
}

impl<S> Lazy<S> {
    fn new(make: fn() -> S) -> Self {
        let made = Arc::default();
        Lazy { made, make }
    }
}

impl<S> Clone for Lazy<S> {
    fn clone(&self) -> Self {
        Lazy {
            made: Arc::clone(&self.made),
            make: self.make,
        }
    }
}

impl<S: NamedService> NamedService for Lazy<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Lazy<S>
where
    S: Service<Request<Body>, Error = Infallible> + Clone,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = S::Future;

    /// A service of tonic's is always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        self.made.get_or_init(self.make).clone().call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptors_are_readable() {
        assert!(descriptors().build_v1().is_ok());
        assert!(descriptors().build_v1alpha().is_ok());
    }
}
