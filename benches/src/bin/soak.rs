//! Memory under churn; see [`farad_benches::soak`].

fn main() -> std::process::ExitCode {
    farad_benches::soak::main()
}
