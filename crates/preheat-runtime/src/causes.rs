//! Errors with what is behind them.

use std::error::Error;

/// The text of an error with all its causes, outermost first.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(deeper) = source {
        text = format!("{text}: {deeper}");
        source = deeper.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("middle")]
    struct Middle(#[source] std::fmt::Error);

    #[test]
    fn causes_are_told_outermost_first() {
        let inner = std::fmt::Error;
        assert_eq!(chain(&inner), inner.to_string());
        let error = Outer(Middle(inner));
        assert_eq!(chain(&error), format!("outer: middle: {inner}"));
    }
}
