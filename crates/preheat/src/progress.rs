//! Progress on standard error for people who wait.
