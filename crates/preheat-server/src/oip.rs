//! The Open Inference Protocol's tensors, for both of its doors: texts and rows of numbers for
//! models that take texts, the model's own for all others.

use std::collections::HashSet;

use bytes::Bytes;
use preheat_api::oip::{self, Data, InputTensor, ModelMetadata, ServerMetadata, TensorMetadata};
use preheat_engine::{Element, EngineInfo, Task, Tensor, TensorSpec};
use serde_json::Value;

use crate::prepare::{Inputs, TextPair};
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

/// What the model takes and gives.
///
/// # Errors
/// [`ServeError::NotReady`] before it is loaded: until then nobody knows.
pub fn model_metadata(service: &Service) -> Result<ModelMetadata, ServeError> {
    let loaded = service.loaded().ok_or_else(|| service.not_ready())?;
    Ok(described(service.name.as_str(), &loaded.info))
}

fn described(name: &str, info: &EngineInfo) -> ModelMetadata {
    let signature = &info.signature;
    let tensor = |name: &str, datatype: &str, shape| TensorMetadata {
        name: name.into(),
        datatype: datatype.into(),
        shape,
    };
    let dim = i64::try_from(info.dim).unwrap_or(-1);
    let (inputs, outputs) = match signature.task.takes_texts() {
        false => (
            signature.inputs.iter().map(declared).collect(),
            signature.outputs.iter().map(declared).collect(),
        ),
        true => (
            vec![tensor(oip::TEXT_INPUT, "BYTES", vec![-1])],
            vec![tensor(text_output(signature.task), "FP32", vec![-1, dim])],
        ),
    };
    ModelMetadata {
        name: name.to_owned(),
        versions: vec![oip::MODEL_VERSION.into()],
        platform: format!("preheat_{}", info.name),
        inputs,
        outputs,
    }
}

fn declared(spec: &TensorSpec) -> TensorMetadata {
    let dim = |dim: &Option<usize>| dim.and_then(|d| i64::try_from(d).ok()).unwrap_or(-1);
    TensorMetadata {
        name: spec.name.clone(),
        datatype: datatype(spec.element).into(),
        shape: spec
            .shape
            .as_ref()
            .map_or_else(|| vec![-1], |s| s.iter().map(dim).collect()),
    }
}

/// The protocol's word.
pub const fn datatype(element: Element) -> &'static str {
    match element {
        Element::Bool => "BOOL",
        Element::U8 => "UINT8",
        Element::I8 => "INT8",
        Element::U16 => "UINT16",
        Element::I16 => "INT16",
        Element::U32 => "UINT32",
        Element::I32 => "INT32",
        Element::U64 => "UINT64",
        Element::I64 => "INT64",
        Element::F32 => "FP32",
        Element::F64 => "FP64",
    }
}

fn element(name: &str, word: &str) -> Result<Element, ServeError> {
    let mut all = Element::ALL.into_iter();
    all.find(|e| datatype(*e) == word)
        .ok_or_else(|| ServeError::Malformed(format!("'{name}' is {word}, which is not served")))
}

/// A tensor whose data came as bytes.
pub fn tensor(
    name: &str,
    word: &str,
    shape: &[i64],
    data: impl Into<Bytes>,
) -> Result<Tensor, ServeError> {
    let dims = shape
        .iter()
        .map(|dim| usize::try_from(*dim).ok())
        .collect::<Option<Vec<_>>>();
    let wrong = || ServeError::Malformed(format!("'{name}' has shape {shape:?}"));
    Tensor::new(name, element(name, word)?, dims.ok_or_else(wrong)?, data)
        .map_err(|error| ServeError::Malformed(error.to_string()))
}

/// A tensor whose data came as JSON, flat or nested.
pub fn json_tensor(input: &InputTensor) -> Result<Tensor, ServeError> {
    let name = &input.name;
    let element = element(name, &input.datatype)?;
    let missing = || ServeError::Malformed(format!("input '{name}' has no data"));
    let mut data = Vec::new();
    let depth = input.shape.len().max(1);
    flatten(
        input.data.as_ref().ok_or_else(missing)?,
        depth,
        element,
        &mut data,
    )
    .ok_or_else(|| {
        let kind = &input.datatype;
        ServeError::Malformed(format!(
            "the data of input '{name}' is not a list of {kind}"
        ))
    })?;
    tensor(name, &input.datatype, &input.shape, data)
}

fn flatten(data: &Value, depth: usize, element: Element, out: &mut Vec<u8>) -> Option<()> {
    match data {
        Value::Array(items) if depth > 0 => items
            .iter()
            .try_for_each(|item| flatten(item, depth - 1, element, out)),
        Value::Array(_) => None,
        _ => push(data, element, out),
    }
}

fn push(value: &Value, element: Element, out: &mut Vec<u8>) -> Option<()> {
    macro_rules! whole {
        ($kind:ty) => {{
            let signed = value.as_i64().map(i128::from);
            let number = signed.or_else(|| value.as_u64().map(i128::from))?;
            out.extend(<$kind>::try_from(number).ok()?.to_le_bytes());
        }};
    }
    match element {
        Element::Bool => out.push(u8::from(value.as_bool()?)),
        Element::U8 => whole!(u8),
        Element::I8 => whole!(i8),
        Element::U16 => whole!(u16),
        Element::I16 => whole!(i16),
        Element::U32 => whole!(u32),
        Element::I32 => whole!(i32),
        Element::U64 => whole!(u64),
        Element::I64 => whole!(i64),
        Element::F32 => out.extend((value.as_f64()? as f32).to_le_bytes()),
        Element::F64 => out.extend(value.as_f64()?.to_le_bytes()),
    }
    Some(())
}

/// The elements of a tensor for JSON.
pub fn elements(tensor: &Tensor) -> Data {
    macro_rules! each {
        ($kind:ty) => {{
            let (elements, _) = tensor.data().as_chunks::<{ size_of::<$kind>() }>();
            elements.iter().map(|bytes| <$kind>::from_le_bytes(*bytes))
        }};
    }
    match tensor.element() {
        Element::Bool => Data::Booleans(tensor.data().iter().map(|byte| *byte != 0).collect()),
        Element::U8 => Data::Positive(each!(u8).map(u64::from).collect()),
        Element::U16 => Data::Positive(each!(u16).map(u64::from).collect()),
        Element::U32 => Data::Positive(each!(u32).map(u64::from).collect()),
        Element::U64 => Data::Positive(each!(u64).collect()),
        Element::I8 => Data::Whole(each!(i8).map(i64::from).collect()),
        Element::I16 => Data::Whole(each!(i16).map(i64::from).collect()),
        Element::I32 => Data::Whole(each!(i32).map(i64::from).collect()),
        Element::I64 => Data::Whole(each!(i64).collect()),
        Element::F32 => Data::Single(each!(f32).collect()),
        Element::F64 => Data::Double(each!(f64).collect()),
    }
}

/// The outputs that were asked for, in that order; all of them when none was named.
///
/// # Errors
/// When one of them is not an output of the model.
pub fn chosen(outputs: Vec<Tensor>, asked: &[&str]) -> Result<Vec<Tensor>, ServeError> {
    if asked.is_empty() {
        return Ok(outputs);
    }
    let find = |name: &&str| {
        outputs
            .iter()
            .find(|output| output.name() == *name)
            .cloned()
    };
    let all = asked
        .iter()
        .map(|name| find(name).ok_or_else(|| unknown_output(name)));
    all.collect()
}

/// Whether a model declares these outputs, and each is asked for once: known before anything runs.
/// Each is written as often as it is asked for, so a small body could ask for an answer of any size.
///
/// # Errors
/// Names the first that it does not, or that was named before.
pub fn check_outputs(declared: &[TensorSpec], asked: &[&str]) -> Result<(), ServeError> {
    let mut once = HashSet::new();
    for name in asked {
        if !declared.iter().any(|spec| spec.name == *name) {
            return Err(unknown_output(name));
        }
        if !once.insert(name) {
            let why = format!("output '{name}' is asked for twice");
            return Err(ServeError::Malformed(why));
        }
    }
    Ok(())
}

fn unknown_output(name: &str) -> ServeError {
    ServeError::Malformed(format!(
        "unknown output '{name}': the model's metadata lists them"
    ))
}

/// Triton's parameter of an output for labels in place of numbers.
pub const CLASSIFICATION: &str = "classification";

/// Numbers in their place would be taken for them.
pub fn no_classification(output: &str) -> ServeError {
    let why = format!("labels of output '{output}' are not offered: leave {CLASSIFICATION} out");
    ServeError::Malformed(why)
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

/// What models of texts call their output.
pub const fn text_output(task: Task) -> &'static str {
    match task {
        Task::Classify => oip::SCORES_OUTPUT,
        _ => oip::EMBEDDING_OUTPUT,
    }
}

/// The texts of the one input tensor, given its data: as many as its shape announces, in pairs
/// where that says so.
pub fn text_inputs(shape: &TextShape, texts: Vec<String>) -> Result<Inputs, ServeError> {
    check_count(shape.rows.saturating_mul(shape.together), texts.len())?;
    if shape.together == 1 {
        return Ok(Inputs::Texts(texts));
    }
    let mut texts = texts.into_iter();
    let pairs = std::iter::from_fn(|| {
        Some(TextPair {
            first: texts.next()?.into(),
            second: texts.next(),
        })
    });
    Ok(Inputs::Pairs(pairs.collect()))
}

/// What the shape of a tensor of texts announces.
#[derive(Debug, Clone, Copy)]
pub struct TextShape {
    rows: usize,
    /// Texts of one row: two are read as one input.
    together: usize,
}

/// Whether this is the one input that models of texts take.
pub fn check_input(
    name: &str,
    datatype: &str,
    shape: &[i64],
    task: Task,
) -> Result<TextShape, ServeError> {
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
    let (rows, together) = match (shape, task) {
        ([rows, 2], Task::Classify) => (usize::try_from(*rows).ok(), 2),
        ([rows] | [rows, 1], _) => (usize::try_from(*rows).ok(), 1),
        _ => (None, 1),
    };
    let expected = match task {
        Task::Classify => "[n], [n, 1] or, for pairs, [n, 2]",
        _ => "[n] or [n, 1]",
    };
    let why = || format!("input '{name}' has shape {shape:?}, expected {expected}");
    let rows = rows.ok_or_else(|| ServeError::Malformed(why()))?;
    Ok(TextShape { rows, together })
}

fn check_count(announced: usize, got: usize) -> Result<(), ServeError> {
    if announced == got {
        return Ok(());
    }
    let why = format!("the shape announces {announced} elements, the data holds {got}");
    Err(ServeError::Malformed(why))
}

pub fn check_output(name: &str, task: Task) -> Result<(), ServeError> {
    let own = text_output(task);
    if name == own {
        return Ok(());
    }
    let why = format!("unknown output '{name}': the output is called '{own}'");
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn input(datatype: &str, shape: &[i64], data: Value) -> InputTensor {
        InputTensor {
            name: "x".into(),
            shape: shape.to_vec(),
            datatype: datatype.into(),
            parameters: oip::Parameters::new(),
            data: Some(data),
        }
    }

    #[test]
    fn json_becomes_the_tensor_that_it_says_and_comes_back() {
        use serde_json::json;
        let flat = json_tensor(&input("FP32", &[2, 2], json!([1, 2.5, 3, -4]))).unwrap();
        let nested = json_tensor(&input("FP32", &[2, 2], json!([[1, 2.5], [3, -4]]))).unwrap();
        assert_eq!(flat, nested);
        assert_eq!(elements(&flat), Data::Single(vec![1.0, 2.5, 3.0, -4.0]));
        let scalar = json_tensor(&input("INT64", &[], json!([16000]))).unwrap();
        assert_eq!(elements(&scalar), Data::Whole(vec![16000]));
        for (datatype, shape, data) in [
            ("INT8", &[1][..], json!([200])),
            ("INT32", &[1], json!([1.5])),
            ("UINT8", &[1], json!([-1])),
            ("BOOL", &[1], json!([1])),
            ("FP32", &[1], json!(["1"])),
            ("FP32", &[2], json!([1])),
            ("FP32", &[-1], json!([1])),
            ("FP32", &[1], json!([[[1]]])),
            ("BYTES", &[1], json!(["a"])),
            ("FP32", &[i64::MAX, i64::MAX], json!([1])),
        ] {
            let refused = json_tensor(&input(datatype, shape, data.clone()));
            assert!(
                matches!(refused, Err(ServeError::Malformed(_))),
                "{datatype} {data}"
            );
        }
    }

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
