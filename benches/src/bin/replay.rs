//! Replays under load; see [`farad_benches::replay`].

fn main() -> std::process::ExitCode {
    farad_benches::replay::main()
}
