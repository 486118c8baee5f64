//! Whether this process may use io_uring, asked once.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use super::{Wake, uring::Uring};

/// Why there is no io_uring, and what to change.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    #[error(
        "this process may not use io_uring: allow it (sysctl kernel.io_uring_disabled=0, and the system calls \
         io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile), or choose epoll"
    )]
    Denied,
    #[error("the kernel has no io_uring or one older than 6.1: update it, or choose epoll")]
    TooOld,
    #[error("there is no memory for io_uring: raise the limit of locked memory (ulimit -l), or choose epoll")]
    Memory,
    #[error("io_uring does not start: {0}")]
    Other(String),
}

impl Refused {
    fn of(error: &io::Error) -> Refused {
        match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => Refused::Denied,
            Some(rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => Refused::TooOld,
            Some(rustix::io::Errno::NOMEM) => Refused::Memory,
            _ => Refused::Other(error.to_string()),
        }
    }
}

/// Sets up a ring with all that the shards need, and takes it down again. Whoever would use io_uring asks here first:
/// some libraries panic where it is denied.
pub fn probe() -> Result<(), Refused> {
    static RESULT: OnceLock<Result<(), Refused>> = OnceLock::new();
    let set_up = || Uring::new(Arc::new(Wake::new()?)).map(drop);
    RESULT.get_or_init(|| set_up().map_err(|error| Refused::of(&error))).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_change() {
        let text = |errno: rustix::io::Errno| Refused::of(&errno.into()).to_string();
        assert!(text(rustix::io::Errno::PERM).contains("seccomp"));
        assert!(text(rustix::io::Errno::NOSYS).contains("6.1"));
        assert!(text(rustix::io::Errno::NOMEM).contains("ulimit -l"));
        assert!(text(rustix::io::Errno::IO).contains("does not start"));
    }
}
