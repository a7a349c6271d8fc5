//! The Open Inference Protocol's tensors for a text-embedding model, for both of its doors.

use preheat_api::oip::{self, ModelMetadata, ServerMetadata, TensorMetadata};

use crate::serve_error::ServeError;
use crate::service::Service;

pub const EXTENSIONS: [&str; 3] = ["binary_tensor_data", "model_configuration", "statistics"];

pub fn server_metadata() -> ServerMetadata {
    ServerMetadata {
        name: "preheat".into(),
        version: crate::VERSION.into(),
        extensions: EXTENSIONS.map(str::to_owned).to_vec(),
    }
}

/// What the model takes and gives. The length of its rows is not known before it is loaded.
pub fn model_metadata(service: &Service) -> ModelMetadata {
    let info = service.loaded().map(|loaded| loaded.info);
    let dim = info
        .as_ref()
        .and_then(|i| i64::try_from(i.dim).ok())
        .unwrap_or(-1);
    let tensor = |name: &str, datatype: &str, shape| TensorMetadata {
        name: name.into(),
        datatype: datatype.into(),
        shape,
    };
    ModelMetadata {
        name: service.name.as_str().to_owned(),
        versions: vec![oip::MODEL_VERSION.into()],
        platform: info.map_or_else(|| "preheat".into(), |i| format!("preheat_{}", i.name)),
        inputs: vec![tensor(oip::TEXT_INPUT, "BYTES", vec![-1])],
        outputs: vec![tensor(oip::EMBEDDING_OUTPUT, "FP32", vec![-1, dim])],
    }
}

/// Whether this name, and this version if one is given, is what we serve.
pub fn check_model(service: &Service, name: &str, version: &str) -> Result<(), ServeError> {
    if name != service.name.as_str() {
        return Err(ServeError::UnknownModel(name.to_owned()));
    }
    match version {
        "" | oip::MODEL_VERSION => Ok(()),
        other => Err(ServeError::UnknownModel(format!(
            "{name}' version '{other}"
        ))),
    }
}

/// Number of texts that the shape of the one input tensor announces.
pub fn check_input(name: &str, datatype: &str, shape: &[i64]) -> Result<usize, ServeError> {
    if name != oip::TEXT_INPUT {
        let why = format!(
            "unknown input '{name}': the input is called '{}'",
            oip::TEXT_INPUT
        );
        return Err(ServeError::Malformed(why));
    }
    if datatype != "BYTES" {
        return Err(ServeError::Malformed(format!(
            "input '{name}' is BYTES, not {datatype}"
        )));
    }
    let rows = match shape {
        [rows] | [rows, 1] => usize::try_from(*rows).ok(),
        _ => None,
    };
    let why = || format!("input '{name}' has shape {shape:?}, expected [n] or [n, 1]");
    rows.ok_or_else(|| ServeError::Malformed(why()))
}

pub fn check_count(announced: usize, got: usize) -> Result<(), ServeError> {
    if announced == got {
        return Ok(());
    }
    let why = format!("the shape announces {announced} elements, the data holds {got}");
    Err(ServeError::Malformed(why))
}

pub fn check_output(name: &str) -> Result<(), ServeError> {
    if name == oip::EMBEDDING_OUTPUT {
        return Ok(());
    }
    let why = format!(
        "unknown output '{name}': the output is called '{}'",
        oip::EMBEDDING_OUTPUT
    );
    Err(ServeError::Malformed(why))
}

pub fn text(bytes: &[u8]) -> Result<String, ServeError> {
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| ServeError::Malformed("a text is not UTF-8".into()))
}

/// Texts of a raw BYTES tensor: each behind its length in four little-endian bytes.
pub fn raw_texts(mut raw: &[u8]) -> Result<Vec<String>, ServeError> {
    let mut texts = Vec::new();
    while !raw.is_empty() {
        let broken = || ServeError::Malformed("a raw BYTES tensor ends in the middle".into());
        let (length, rest) = raw.split_first_chunk::<4>().ok_or_else(broken)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (bytes, rest) = rest.split_at_checked(length).ok_or_else(broken)?;
        texts.push(text(bytes)?);
        raw = rest;
    }
    Ok(texts)
}

/// Row-major numbers as little-endian bytes.
pub fn raw_numbers(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn raw_texts_are_read_to_the_byte() {
        let raw = [&3u32.to_le_bytes()[..], b"abc", &0u32.to_le_bytes()].concat();
        assert_eq!(raw_texts(&raw).unwrap(), ["abc", ""]);
        assert!(raw_texts(&raw[..5]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(raw: Vec<u8>) {
            let _ = raw_texts(&raw);
        }
    }
}
