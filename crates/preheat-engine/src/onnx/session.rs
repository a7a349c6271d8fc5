//! A session of ONNX Runtime: built for a device, run on tensors.

use std::path::Path;

use ort::environment::Environment;
use ort::ep::ExecutionProviderDispatch;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, TensorElementType, Value};

use super::relocate::LARGE;
use super::{OnnxSpec, Provider};
use crate::engine::{Element, RunError, Tensor, TensorSpec};
use crate::load::LoadError;

/// # Errors
/// [`LoadError::Provider`] for a device that the library does not know, [`LoadError::Onnx`] for the
/// file.
pub(super) fn open(environment: &Environment, spec: &OnnxSpec) -> Result<Session, LoadError> {
    let fault = |error: ort::Error| LoadError::Onnx {
        path: spec.file.clone(),
        reason: error.to_string(),
    };
    let mut builder = builder(environment, spec).map_err(fault)?;
    for provider in &spec.providers {
        builder = builder
            .with_execution_providers([dispatch(*provider)])
            .map_err(|error| LoadError::Provider {
                provider: provider.name(),
                reason: error.to_string(),
            })?;
    }
    builder.commit_from_file(&spec.file).map_err(fault)
}

/// Opens the file, and writes what was made of it: the graph to `graph`, which names `weights`, a
/// file beside it, for everything that is large.
pub(super) fn save(
    environment: &Environment,
    spec: &OnnxSpec,
    graph: &Path,
    weights: &str,
) -> Result<(), ort::Error> {
    builder(environment, spec)?
        .with_optimized_model_path(graph)?
        .with_config_entry(WEIGHTS_FILE, weights)?
        .with_config_entry(LEAST_OUTSIDE, LARGE.to_string())?
        .with_config_entry(SAVE_AS_KERNELS_READ, "1")?
        .commit_from_file(&spec.file)
        .map(drop)
}

/// A session over a graph that was saved, whose weights are in a file of `dir`.
pub(super) fn over(
    environment: &Environment,
    spec: &OnnxSpec,
    dir: &Path,
    graph: &[u8],
) -> Result<Session, ort::Error> {
    builder(environment, spec)?
        // All of that was done before it was saved.
        .with_optimization_level(GraphOptimizationLevel::Disable)?
        .with_config_entry(WEIGHTS_DIR, dir.to_string_lossy())?
        .commit_from_memory(graph)
}

const WEIGHTS_FILE: &str = "session.optimized_model_external_initializers_file_name";
/// For each weight outside of the graph, a session opens and maps the file.
const LEAST_OUTSIDE: &str = "session.optimized_model_external_initializers_min_size_in_bytes";
const SAVE_AS_KERNELS_READ: &str = "session.save_external_prepacked_constant_initializers";
const SLEEP_BETWEEN_RUNS: &str = "session.force_spinning_stop";
const WEIGHTS_DIR: &str = "session.model_external_initializers_file_folder_path";

fn builder(environment: &Environment, spec: &OnnxSpec) -> Result<SessionBuilder, ort::Error> {
    Ok(Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        // Of a graph that is saved on purpose for this very machine, it says that it is.
        .with_log_level(LogLevel::Error)?
        .with_intra_threads(spec.threads.get())?
        .with_inter_threads(1)?
        // Within a batch threads wait for each other awake, which small batches gain a third from.
        .with_intra_op_spinning(true)?
        // Between batches they must not hold the CPU.
        .with_config_entry(SLEEP_BETWEEN_RUNS, "1")?
        // A plan of memory for each exact shape would make every new one cost extra.
        .with_memory_pattern(false)?)
}

/// Asked for and not there is an error, never a silent fall back to the CPU.
fn dispatch(provider: Provider) -> ExecutionProviderDispatch {
    let dispatch = match provider {
        Provider::Cuda => ort::ep::CUDA::default().build(),
        Provider::TensorRt => ort::ep::TensorRT::default().build(),
        Provider::OpenVino => ort::ep::OpenVINO::default().build(),
    };
    dispatch.error_on_failure()
}

pub(super) fn run(
    session: &mut Session,
    outputs: &[TensorSpec],
    inputs: &[Tensor],
) -> Result<Vec<Tensor>, RunError> {
    let values = inputs
        .iter()
        .map(|tensor| Ok((tensor.name(), SessionInputValue::from(value(tensor)?))))
        .collect::<Result<Vec<_>, ort::Error>>()
        .map_err(failed)?;
    let computed = session.run(values).map_err(failed)?;
    outputs
        .iter()
        .map(|spec| {
            let value = computed.get(&spec.name);
            let missing = || RunError::Engine(format!("output '{}' is missing", spec.name));
            tensor(&spec.name, value.ok_or_else(missing)?)
        })
        .collect()
}

fn failed(error: ort::Error) -> RunError {
    let message = error.to_string();
    if message.contains("Failed to allocate memory") || message.contains("out of memory") {
        RunError::OutOfMemory(message)
    } else {
        RunError::Engine(message)
    }
}

fn value(tensor: &Tensor) -> Result<DynValue, ort::Error> {
    let shape = tensor.shape().to_vec();
    macro_rules! of {
        ($kind:ty) => {{
            let (elements, _) = tensor.data().as_chunks::<{ size_of::<$kind>() }>();
            let elements: Vec<$kind> = elements
                .iter()
                .map(|b| <$kind>::from_le_bytes(*b))
                .collect();
            Ok(Value::from_array((shape, elements))?.into_dyn())
        }};
    }
    match tensor.element() {
        Element::Bool => {
            let elements: Vec<bool> = tensor.data().iter().map(|byte| *byte != 0).collect();
            Ok(Value::from_array((shape, elements))?.into_dyn())
        }
        Element::U8 => of!(u8),
        Element::I8 => of!(i8),
        Element::U16 => of!(u16),
        Element::I16 => of!(i16),
        Element::U32 => of!(u32),
        Element::I32 => of!(i32),
        Element::U64 => of!(u64),
        Element::I64 => of!(i64),
        Element::F32 => of!(f32),
        Element::F64 => of!(f64),
    }
}

fn tensor(name: &str, value: &DynValue) -> Result<Tensor, RunError> {
    macro_rules! of {
        ($kind:ty, $element:expr) => {{
            let (shape, elements) = value.try_extract_tensor::<$kind>().map_err(failed)?;
            let data: Vec<u8> = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
            (shape.iter().copied().collect(), $element, data)
        }};
    }
    let kind = value.dtype().tensor_type();
    let (shape, element, data): (Vec<i64>, Element, Vec<u8>) = match kind {
        Some(TensorElementType::Bool) => {
            let (shape, elements) = value.try_extract_tensor::<bool>().map_err(failed)?;
            let data = elements.iter().map(|x| u8::from(*x)).collect();
            (shape.iter().copied().collect(), Element::Bool, data)
        }
        Some(TensorElementType::Uint8) => of!(u8, Element::U8),
        Some(TensorElementType::Int8) => of!(i8, Element::I8),
        Some(TensorElementType::Uint16) => of!(u16, Element::U16),
        Some(TensorElementType::Int16) => of!(i16, Element::I16),
        Some(TensorElementType::Uint32) => of!(u32, Element::U32),
        Some(TensorElementType::Int32) => of!(i32, Element::I32),
        Some(TensorElementType::Uint64) => of!(u64, Element::U64),
        Some(TensorElementType::Int64) => of!(i64, Element::I64),
        Some(TensorElementType::Float32) => of!(f32, Element::F32),
        Some(TensorElementType::Float64) => of!(f64, Element::F64),
        other => return Err(RunError::Engine(format!("output '{name}' is {other:?}"))),
    };
    let shape = shape
        .into_iter()
        .map(|dim| usize::try_from(dim).unwrap_or(0))
        .collect();
    Tensor::new(name, element, shape, data).map_err(|error| RunError::Engine(error.to_string()))
}
