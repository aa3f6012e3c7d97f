//! Prints the documentation of the figures: `cargo run -p results --example figures > crates/results/FIGURES.md`.

fn main() {
    print!("{}", results::figures::documentation());
}
