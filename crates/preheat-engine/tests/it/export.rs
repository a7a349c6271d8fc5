//! An encoder written as an ONNX file, the way exporters do it: token ids and mask in, a vector for
//! each token out. Field numbers are those of ONNX's public schema.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;

/// What the file is made from.
pub(crate) struct Encoder {
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) hidden: usize,
    pub(crate) eps: f32,
}

/// Writes `model.onnx` for a checkpoint of BERT's names.
pub(crate) fn export(weights: &Path, encoder: &Encoder, to: &Path) {
    let bytes = fs::read(weights).expect("the checkpoint is there");
    let tensors = SafeTensors::deserialize(&bytes).expect("the checkpoint is one");
    let mut file = File::default();
    let last = Export {
        tensors,
        encoder,
        file: &mut file,
    }
    .graph();
    let model = file.finish(&last, encoder.hidden);
    fs::write(to, model).expect("the folder may be written");
}

struct Export<'a> {
    tensors: SafeTensors<'a>,
    encoder: &'a Encoder,
    file: &'a mut File,
}

impl Export<'_> {
    fn graph(&mut self) -> String {
        let file = &mut *self.file;
        // 0 for what counts, a large negative number for padding.
        let mask = file.node("Cast", &["attention_mask"], &[int("to", FLOAT)]);
        let one = file.floats(&[], &[1.0]);
        let mask = file.node("Sub", &[&one, &mask], &[]);
        let low = file.floats(&[], &[-1e9]);
        let mask = file.node("Mul", &[&mask, &low], &[]);
        let axes = file.ints(&[2], &[1, 2]);
        let mask = file.node("Unsqueeze", &[&mask, &axes], &[]);

        let words = self.table("embeddings.word_embeddings.weight");
        let places = self.table("embeddings.position_embeddings.weight");
        let types = self.table("embeddings.token_type_embeddings.weight");
        let file = &mut *self.file;
        let shape = file.node("Shape", &["input_ids"], &[]);
        let second = file.ints(&[], &[1]);
        let length = file.node("Gather", &[&shape, &second], &[]);
        let (zero, step) = (file.ints(&[], &[0]), file.ints(&[], &[1]));
        let range = file.node("Range", &[&zero, &length, &step], &[]);
        let places = file.node("Gather", &[&places, &range], &[]);
        let words = file.node("Gather", &[&words, "input_ids"], &[]);
        let types = file.node("Gather", &[&types, "token_type_ids"], &[]);
        let x = file.node("Add", &[&words, &types], &[]);
        let x = file.node("Add", &[&x, &places], &[]);
        let mut x = self.norm("embeddings.LayerNorm", &x);
        for layer in 0..self.encoder.layers {
            x = self.layer(&format!("encoder.layer.{layer}"), &x, &mask);
        }
        x
    }

    fn layer(&mut self, name: &str, x: &str, mask: &str) -> String {
        let named = |part: &str| format!("{name}.{part}");
        let part = |export: &mut Self, kind: &str, order: &[i64]| {
            let rows = export.linear(&named(&format!("attention.self.{kind}")), x);
            let Encoder { heads, hidden, .. } = *export.encoder;
            let heads = heads as i64;
            let shape = export
                .file
                .ints(&[4], &[0, 0, heads, hidden as i64 / heads]);
            let cut = export.file.node("Reshape", &[&rows, &shape], &[]);
            export
                .file
                .node("Transpose", &[&cut], &[ints("perm", order)])
        };
        let q = part(self, "query", &[0, 2, 1, 3]);
        let k = part(self, "key", &[0, 2, 3, 1]);
        let v = part(self, "value", &[0, 2, 1, 3]);
        let Encoder { heads, hidden, .. } = *self.encoder;
        let file = &mut *self.file;
        let scores = file.node("MatMul", &[&q, &k], &[]);
        let factor = file.floats(&[], &[1.0 / ((hidden / heads) as f32).sqrt()]);
        let scores = file.node("Mul", &[&scores, &factor], &[]);
        let scores = file.node("Add", &[&scores, mask], &[]);
        let weights = file.node("Softmax", &[&scores], &[int("axis", -1)]);
        let told = file.node("MatMul", &[&weights, &v], &[]);
        let told = file.node("Transpose", &[&told], &[ints("perm", &[0, 2, 1, 3])]);
        let shape = file.ints(&[3], &[0, 0, hidden as i64]);
        let told = file.node("Reshape", &[&told, &shape], &[]);
        let told = self.linear(&named("attention.output.dense"), &told);
        let x = self.file.node("Add", &[x, &told], &[]);
        let x = self.norm(&named("attention.output.LayerNorm"), &x);

        let wide = self.linear(&named("intermediate.dense"), &x);
        let wide = self.gelu(&wide);
        let made = self.linear(&named("output.dense"), &wide);
        let x = self.file.node("Add", &[&x, &made], &[]);
        self.norm(&named("output.LayerNorm"), &x)
    }

    fn gelu(&mut self, x: &str) -> String {
        let file = &mut *self.file;
        let root = file.floats(&[], &[std::f32::consts::SQRT_2]);
        let erf = file.node("Div", &[x, &root], &[]);
        let erf = file.node("Erf", &[&erf], &[]);
        let one = file.floats(&[], &[1.0]);
        let share = file.node("Add", &[&erf, &one], &[]);
        let whole = file.node("Mul", &[x, &share], &[]);
        let half = file.floats(&[], &[0.5]);
        file.node("Mul", &[&whole, &half], &[])
    }

    fn linear(&mut self, name: &str, x: &str) -> String {
        let (shape, rows) = self.numbers(&format!("{name}.weight"));
        let (outputs, inputs) = (shape[0], shape[1]);
        let column = |at: usize| rows[at % outputs * inputs + at / outputs];
        let turned: Vec<f32> = (0..rows.len()).map(column).collect();
        let (_, bias) = self.numbers(&format!("{name}.bias"));
        let weight = self.file.floats(&[inputs, outputs], &turned);
        let bias = self.file.floats(&[outputs], &bias);
        let product = self.file.node("MatMul", &[x, &weight], &[]);
        self.file.node("Add", &[&product, &bias], &[])
    }

    fn norm(&mut self, name: &str, x: &str) -> String {
        let [gamma, beta] = ["weight", "bias"].map(|part| self.table(&format!("{name}.{part}")));
        let how = [int("axis", -1), float("epsilon", self.encoder.eps)];
        self.file
            .node("LayerNormalization", &[x, &gamma, &beta], &how)
    }

    fn table(&mut self, name: &str) -> String {
        let (shape, numbers) = self.numbers(name);
        self.file.floats(&shape, &numbers)
    }

    fn numbers(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let view = self
            .tensors
            .tensor(name)
            .expect("tensors have BERT's names");
        let numbers = view.data().as_chunks::<4>().0.iter();
        (
            view.shape().to_vec(),
            numbers.map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        )
    }
}

const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// Nodes and weights, in the order in which they come.
#[derive(Default)]
struct File {
    nodes: Vec<u8>,
    weights: Vec<u8>,
    names: usize,
}

impl File {
    fn name(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[Vec<u8>]) -> String {
        let output = self.name();
        let mut node = Vec::new();
        inputs
            .iter()
            .for_each(|input| put(1, input.as_bytes(), &mut node));
        put(2, output.as_bytes(), &mut node);
        put(4, operator.as_bytes(), &mut node);
        attributes
            .iter()
            .for_each(|attribute| put(5, attribute, &mut node));
        put(1, &node, &mut self.nodes);
        output
    }

    fn floats(&mut self, shape: &[usize], numbers: &[f32]) -> String {
        let raw: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.weight(FLOAT, shape, &raw)
    }

    fn ints(&mut self, shape: &[usize], numbers: &[i64]) -> String {
        let raw: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.weight(INT64, shape, &raw)
    }

    fn weight(&mut self, element: i64, shape: &[usize], raw: &[u8]) -> String {
        let name = self.name();
        let mut tensor = Vec::new();
        shape
            .iter()
            .for_each(|dim| number(1, *dim as i64, &mut tensor));
        number(2, element, &mut tensor);
        put(8, name.as_bytes(), &mut tensor);
        put(9, raw, &mut tensor);
        put(5, &tensor, &mut self.weights);
        name
    }

    fn finish(mut self, last: &str, hidden: usize) -> Vec<u8> {
        let mut node = Vec::new();
        put(1, last.as_bytes(), &mut node);
        put(2, b"last_hidden_state", &mut node);
        put(4, b"Identity", &mut node);
        put(1, &node, &mut self.nodes);
        let mut graph = self.nodes;
        put(2, b"encoder", &mut graph);
        graph.extend(self.weights);
        for input in ["input_ids", "attention_mask", "token_type_ids"] {
            put(11, &info(input, INT64, &[None, None]), &mut graph);
        }
        let output = info("last_hidden_state", FLOAT, &[None, None, Some(hidden)]);
        put(12, &output, &mut graph);
        let mut opset = Vec::new();
        number(2, 17, &mut opset);
        let mut model = Vec::new();
        number(1, 8, &mut model);
        put(7, &graph, &mut model);
        put(8, &opset, &mut model);
        model
    }
}

fn info(name: &str, element: i64, dims: &[Option<usize>]) -> Vec<u8> {
    let mut shape = Vec::new();
    for (place, dim) in dims.iter().enumerate() {
        let mut known = Vec::new();
        match dim {
            Some(dim) => number(1, *dim as i64, &mut known),
            None => put(2, format!("dim{place}").as_bytes(), &mut known),
        }
        put(1, &known, &mut shape);
    }
    let mut tensor = Vec::new();
    number(1, element, &mut tensor);
    put(2, &shape, &mut tensor);
    let mut kind = Vec::new();
    put(1, &tensor, &mut kind);
    let mut info = Vec::new();
    put(1, name.as_bytes(), &mut info);
    put(2, &kind, &mut info);
    info
}

fn int(name: &str, value: i64) -> Vec<u8> {
    let mut attribute = Vec::new();
    put(1, name.as_bytes(), &mut attribute);
    number(3, value, &mut attribute);
    number(20, 2, &mut attribute);
    attribute
}

fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    let mut attribute = Vec::new();
    put(1, name.as_bytes(), &mut attribute);
    values
        .iter()
        .for_each(|value| number(8, *value, &mut attribute));
    number(20, 7, &mut attribute);
    attribute
}

fn float(name: &str, value: f32) -> Vec<u8> {
    let mut attribute = Vec::new();
    put(1, name.as_bytes(), &mut attribute);
    varint(2 << 3 | 5, &mut attribute);
    attribute.extend(value.to_le_bytes());
    number(20, 1, &mut attribute);
    attribute
}

fn put(field: u64, bytes: &[u8], out: &mut Vec<u8>) {
    varint(field << 3 | 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn number(field: u64, value: i64, out: &mut Vec<u8>) {
    varint(field << 3, out);
    varint(value.cast_unsigned(), out);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
