pub fn document() -> serde_json::Value {
    serde_json::Value::Null
}
pub fn page() -> String {
    String::new()
}
