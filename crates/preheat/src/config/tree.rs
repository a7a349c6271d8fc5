//! Dotted keys in a tree of values; numbers are places in a list.

use serde_json::{Map, Value};

/// Puts a value at `key`, making what is missing on the way.
pub fn insert(tree: &mut Value, key: &str, value: Value) {
    let mut at = tree;
    for part in key.split('.') {
        at = match part.parse::<usize>() {
            Ok(index) => element(at, index),
            Err(_) => member(at, part),
        };
    }
    *at = value;
}

fn member<'a>(at: &'a mut Value, name: &str) -> &'a mut Value {
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    &mut at[name]
}

fn element(at: &mut Value, index: usize) -> &mut Value {
    if !at.is_array() {
        *at = Value::Array(Vec::new());
    }
    if let Value::Array(items) = at {
        while items.len() <= index {
            items.push(Value::Object(Map::new()));
        }
    }
    &mut at[index]
}

/// Calls `visit` with the key of every value that is not a table or a list of tables.
pub fn leaves(tree: &Value, mut visit: impl FnMut(String)) {
    walk(tree, String::new(), &mut |key, _| visit(key));
}

/// As [`leaves`], with the values.
pub fn walk(tree: &Value, key: String, visit: &mut impl FnMut(String, &Value)) {
    let join = |part: &str| {
        if key.is_empty() {
            part.to_owned()
        } else {
            format!("{key}.{part}")
        }
    };
    match tree {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                walk(value, join(name), visit);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, value) in items.iter().enumerate() {
                walk(value, join(&index.to_string()), visit);
            }
        }
        value => visit(key, value),
    }
}
