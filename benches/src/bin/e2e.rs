//! Farad under load; see [`farad_benches`].

fn main() -> std::process::ExitCode {
    farad_benches::main()
}
