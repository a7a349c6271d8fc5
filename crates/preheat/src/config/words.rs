//! What a reader of files says of a value of the wrong kind, in words of the files.

/// `expected u16` is said to programmers of the reader; users are told what to write instead.
pub fn for_users(problem: &str) -> String {
    let Some((before, wanted)) = problem.rsplit_once("expected ") else {
        return problem.to_owned();
    };
    // Where it stands in the file may follow.
    let (wanted, after) = match wanted.split_once(['\n']) {
        Some((wanted, after)) => (wanted, format!("\n{after}")),
        None => (wanted, String::new()),
    };
    let kind = match wanted {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table of keys",
        _ if wanted.starts_with("struct ") => "a table of keys",
        _ => wanted,
    };
    format!("{before}expected {kind}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_those_of_files() {
        for (said, wanted) in [
            (
                "invalid type: integer `3`, expected struct Server",
                "invalid type: integer `3`, expected a table of keys",
            ),
            (
                "invalid value: integer `99999`, expected u16\nin `port`\n",
                "invalid value: integer `99999`, expected a whole number from 0 to 65535\nin `port`\n",
            ),
            (
                "unknown field `prot`, expected one of `host`, `port`",
                "unknown field `prot`, expected one of `host`, `port`",
            ),
            ("missing field `case`", "missing field `case`"),
        ] {
            assert_eq!(for_users(said), wanted);
        }
    }
}
