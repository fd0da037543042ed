//! The honeypot's binary.
mod settings;
fn main() {
    println!("{:?}", settings::Sources::default().load());
    print!("{}", settings::DEFAULT_TOML);
}
