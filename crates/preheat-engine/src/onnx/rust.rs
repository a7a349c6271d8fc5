//! ONNX files on rten, which is written in Rust: nothing to install, CPU only, fewer operators.
//!
//! It computes with 32-bit whole numbers where a file says 64; those are converted on the way in
//! and out, and refused where they do not fit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use rten::{Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueType};
use rten_tensor::Tensor as Array;
use rten_tensor::prelude::*;

use super::OnnxSpec;
use super::declaration::Declaration;
use crate::engine::{Element, Instance, RunError, Tensor, TensorSpec};
use crate::load::LoadError;

#[derive(Clone)]
pub(super) struct Graph {
    model: Arc<Model>,
    pool: Arc<ThreadPool>,
    inputs: Vec<NodeId>,
    outputs: Vec<(NodeId, TensorSpec)>,
}

impl Graph {
    pub(super) fn open(
        file: &Path,
        declared: &Declaration,
        spec: &OnnxSpec,
    ) -> Result<Self, LoadError> {
        let fault = |reason: String| LoadError::Onnx {
            path: file.to_owned(),
            reason,
        };
        let mut options = rten::ModelOptions::with_all_ops();
        options.prepack_weights(true);
        // A damaged file can make it panic: that is a fault of this file alone.
        let read = AssertUnwindSafe(|| options.load_file(file));
        let model = catch_unwind(read)
            .map_err(|_| fault("makes the library that reads it panic".to_owned()))?
            .map_err(|error| fault(error.to_string()))?;
        let node = |name: &str| {
            model
                .node_id(name)
                .map_err(|error| fault(error.to_string()))
        };
        let inputs = declared
            .inputs
            .iter()
            .map(|i| node(&i.name))
            .collect::<Result<_, _>>()?;
        let outputs = declared
            .outputs
            .iter()
            .map(|o| Ok((node(&o.name)?, o.clone())));
        Ok(Graph {
            inputs,
            outputs: outputs.collect::<Result<_, LoadError>>()?,
            model: Arc::new(model),
            pool: Arc::new(ThreadPool::with_num_threads(spec.threads.get())),
        })
    }
}

impl Instance for Graph {
    fn infer(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        let values = inputs.iter().map(value);
        let ids = self.inputs.iter().copied();
        let inputs = ids
            .zip(values)
            .map(|(id, value)| Ok((id, ValueOrView::Value(value?))))
            .collect::<Result<Vec<_>, RunError>>()?;
        let wanted: Vec<NodeId> = self.outputs.iter().map(|(id, _)| *id).collect();
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        // Its operators check less than the file may ask of them.
        let run = AssertUnwindSafe(|| self.model.run(inputs, &wanted, Some(options)));
        let computed = catch_unwind(run)
            .map_err(|_| RunError::Engine("the library that computes panicked".to_owned()))?
            .map_err(|error| RunError::Engine(error.to_string()))?;
        self.outputs
            .iter()
            .zip(computed)
            .map(|((_, spec), value)| tensor(spec, value))
            .collect()
    }
}

fn value(tensor: &Tensor) -> Result<Value, RunError> {
    let shape = tensor.shape();
    let data = tensor.data();
    let unfit = |what: &str| RunError::Input(format!("'{}' {what}", tensor.name()));
    macro_rules! whole {
        ($kind:ty) => {{
            let (elements, _) = data.as_chunks::<{ size_of::<$kind>() }>();
            elements
                .iter()
                .map(|b| i32::try_from(<$kind>::from_le_bytes(*b)).ok())
                .collect::<Option<Vec<i32>>>()
                .ok_or_else(|| unfit("holds a number beyond 32 bits"))?
        }};
    }
    Ok(match tensor.element() {
        Element::F32 => {
            let elements: Vec<f32> = data
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect();
            Value::FloatTensor(Array::from_data(shape, elements))
        }
        Element::U8 => Value::UInt8Tensor(Array::from_data(shape, data.to_vec())),
        Element::I8 => {
            let elements: Vec<i8> = data.iter().map(|b| b.cast_signed()).collect();
            Value::Int8Tensor(Array::from_data(shape, elements))
        }
        Element::Bool => {
            let elements: Vec<i32> = data.iter().map(|b| i32::from(*b != 0)).collect();
            Value::Int32Tensor(Array::from_data(shape, elements))
        }
        Element::I32 => Value::Int32Tensor(Array::from_data(shape, whole!(i32))),
        Element::I64 => Value::Int32Tensor(Array::from_data(shape, whole!(i64))),
        Element::U16 => Value::Int32Tensor(Array::from_data(shape, whole!(u16))),
        Element::I16 => Value::Int32Tensor(Array::from_data(shape, whole!(i16))),
        Element::U32 => Value::Int32Tensor(Array::from_data(shape, whole!(u32))),
        Element::U64 => Value::Int32Tensor(Array::from_data(shape, whole!(u64))),
        Element::F64 => return Err(unfit("is f64, which this engine does not compute with")),
    })
}

fn tensor(spec: &TensorSpec, value: Value) -> Result<Tensor, RunError> {
    let odd = |kind: ValueType| {
        RunError::Engine(format!(
            "output '{}' came as {kind:?}, not as declared",
            spec.name
        ))
    };
    let (shape, data): (Vec<usize>, Vec<u8>) = match (spec.element, value) {
        (Element::F32, Value::FloatTensor(array)) => (
            array.shape().to_vec(),
            array
                .to_vec()
                .iter()
                .flat_map(|x| x.to_le_bytes())
                .collect(),
        ),
        (Element::U8, Value::UInt8Tensor(array)) => (array.shape().to_vec(), array.to_vec()),
        (Element::I8, Value::Int8Tensor(array)) => (
            array.shape().to_vec(),
            array.to_vec().iter().map(|x| x.cast_unsigned()).collect(),
        ),
        (Element::I32, Value::Int32Tensor(array)) => (
            array.shape().to_vec(),
            array
                .to_vec()
                .iter()
                .flat_map(|x| x.to_le_bytes())
                .collect(),
        ),
        (Element::I64, Value::Int32Tensor(array)) => {
            let data = array
                .to_vec()
                .iter()
                .flat_map(|x| i64::from(*x).to_le_bytes())
                .collect();
            (array.shape().to_vec(), data)
        }
        (Element::Bool, Value::Int32Tensor(array)) => (
            array.shape().to_vec(),
            array.to_vec().iter().map(|x| u8::from(*x != 0)).collect(),
        ),
        (_, value) => return Err(odd(value.dtype())),
    };
    Tensor::new(&spec.name, spec.element, shape, data)
        .map_err(|error| RunError::Engine(error.to_string()))
}
