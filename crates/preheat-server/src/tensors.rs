//! Tensors of a request against the model's declaration, before anything runs.

use preheat_engine::{Signature, Tensor};

use crate::model::Loaded;
use crate::serve_error::ServeError;

/// The tensors in the order of the declaration.
///
/// # Errors
/// Everything that would make the batch fail, or meet what was not warmed.
pub fn checked(tensors: Vec<Tensor>, loaded: &Loaded) -> Result<Vec<Tensor>, ServeError> {
    let signature = &loaded.info.signature;
    let tensors = ordered(tensors, signature)?;
    for (spec, tensor) in signature.inputs.iter().zip(&tensors) {
        let malformed = |why| ServeError::Malformed(format!("input {why}"));
        spec.fits(tensor.element(), tensor.shape())
            .map_err(malformed)?;
        if tensor.is_empty() {
            return Err(malformed(format!("'{}' has no elements", spec.name)));
        }
        if !tensor.is_finite() {
            return Err(malformed(format!(
                "'{}' holds what is not a finite number",
                spec.name
            )));
        }
    }
    let rows = tensors.first().map_or(1, Tensor::rows);
    if signature.batched {
        if tensors.iter().any(|tensor| tensor.rows() != rows) {
            let why = "the inputs have different numbers of rows";
            return Err(ServeError::Malformed(why.into()));
        }
        let limit = loaded.limits.max_batch;
        if rows > limit {
            return Err(ServeError::TooManyInputs { got: rows, limit });
        }
    }
    let elements: usize = tensors.iter().map(Tensor::len).sum();
    let got = elements / if signature.batched { rows } else { 1 };
    let limit = loaded.buckets.largest();
    match got > limit {
        true => Err(ServeError::NotWarmed { got, limit }),
        false => Ok(tensors),
    }
}

fn ordered(mut tensors: Vec<Tensor>, signature: &Signature) -> Result<Vec<Tensor>, ServeError> {
    let mut ordered = Vec::with_capacity(signature.inputs.len());
    for spec in &signature.inputs {
        let place = tensors.iter().position(|tensor| tensor.name() == spec.name);
        let missing = || ServeError::Malformed(format!("input '{}' is missing", spec.name));
        ordered.push(tensors.swap_remove(place.ok_or_else(missing)?));
    }
    match tensors.first() {
        None => Ok(ordered),
        Some(more) => {
            let why = format!("unknown input '{}', or given twice", more.name());
            Err(ServeError::Malformed(why))
        }
    }
}
