//! What is left of a request's body when its answer is there; around the routes of both listeners.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use preheat_runtime::unread;

/// Reads it, or says that the connection ends.
pub async fn read(request: Request, next: Next) -> Response {
    let (request, unread) = unread::watch(request);
    let Some(unread) = unread else {
        return next.run(request.map(Body::new)).await;
    };
    let mut response = next.run(request.map(Body::new)).await;
    unread.settle(response.headers_mut()).await;
    response
}
