//! How the one binary is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let of = |name| std::env::var(name).unwrap_or_default();
    // A program that may lie anywhere is told by the loader, at every start and in memory of its own,
    // where each of its tables lies: 67 000 numbers in 1.2 MB that no two replicas share. One with a
    // fixed place has them in the file. Libraries, heap and stacks still lie anywhere.
    if of("CARGO_CFG_TARGET_OS") == "linux" && of("CARGO_CFG_TARGET_ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bin=preheat=-no-pie");
    }
}
