//! The log: logfmt lines on standard error, as the control plane writes them.

/// Starts logging for the whole process.
pub fn start() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_target(false).init();
}
