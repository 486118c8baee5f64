//! Memory of groups and points; see [`farad_benches::memory`].

fn main() -> std::process::ExitCode {
    farad_benches::memory::main()
}
