//! Who may ask: holders of a key where keys are set, and no page of another site.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use preheat_runtime::origin::{Stranger, own_page};

use crate::http::{Fault, layers};
use crate::replica::Replica;
use crate::serve_error::ServeError;

pub(super) async fn keys(
    State(replica): State<Arc<Replica>>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let allowed = own_page(request.method(), headers, &replica.addresses.admin)
        .map_err(ServeError::from)
        .and_then(|()| layers::check_key(&replica.settings.admin_keys, headers));
    match allowed {
        Ok(()) => next.run(request).await,
        Err(error) => Fault::from(error).into_response(),
    }
}

impl From<Stranger> for ServeError {
    fn from(stranger: Stranger) -> Self {
        match stranger {
            Stranger::From(whose) => ServeError::Foreign(whose),
            Stranger::NotJson => ServeError::MediaType("content-type: application/json"),
        }
    }
}
