//! Looking into the own process: where its time goes and who holds its memory.
//!
//! Both programs use it; what is found is shown in the format of pprof.

mod heap;

use std::{collections::HashMap, time::Duration};

use pprof::ProfilerGuardBuilder;
use proto::profile::{Frame, Profile, ProfileKind, Stack};

pub use heap::Sampling;

/// Samples a second of CPU time of the process.
const FREQUENCY: i32 = 100;

/// Libraries in which a signal may find the unwinder in the middle of its own work; time there is not shown.
const UNTOUCHED: [&str; 2] = ["libgcc", "vdso"];

#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("another CPU profile is being taken of this process, try again when it is done")]
    Busy,
    #[error("the process cannot be sampled: {0}")]
    Unavailable(pprof::Error),
}

/// Takes a profile; a CPU profile lasts as long as it says.
pub fn take(kind: ProfileKind) -> Result<Profile, ProfileError> {
    match kind {
        ProfileKind::Cpu { seconds } => cpu(Duration::from_secs(seconds.into())),
        ProfileKind::Heap => Ok(heap::profile()),
    }
}

fn cpu(duration: Duration) -> Result<Profile, ProfileError> {
    let failed = |error| match error {
        pprof::Error::Running => ProfileError::Busy,
        error => ProfileError::Unavailable(error),
    };
    let sampling =
        ProfilerGuardBuilder::default().frequency(FREQUENCY).blocklist(&UNTOUCHED).build().map_err(failed)?;
    std::thread::sleep(duration);
    let report = sampling.report().build().map_err(failed)?;
    let mut profile = Builder::new(1_000_000_000 / i64::from(FREQUENCY));
    for (sampled, count) in report.data {
        let symbols = sampled.frames.iter().flatten();
        let frames = symbols.map(|symbol| Frame {
            function: symbol.name(),
            file: symbol.filename().into_owned(),
            line: symbol.lineno(),
        });
        let count = count as i64;
        profile.add(&sampled.thread_name, frames.collect(), count, count * profile.profile.period);
    }
    Ok(profile.profile)
}

/// Puts a profile together, each frame once.
struct Builder {
    profile: Profile,
    places: HashMap<Frame, u32>,
}

impl Builder {
    fn new(period: i64) -> Builder {
        Builder { profile: Profile { period, ..Profile::default() }, places: HashMap::new() }
    }

    fn add(&mut self, thread: &str, frames: Vec<Frame>, count: i64, amount: i64) {
        let Builder { profile, places } = self;
        let place = |frame: Frame| {
            *places.entry(frame).or_insert_with_key(|frame| {
                profile.frames.push(frame.clone());
                profile.frames.len() as u32 - 1
            })
        };
        let frames = frames.into_iter().map(place).collect();
        self.profile.stacks.push(Stack { thread: thread.to_owned(), frames, count, amount });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_shows_where_the_time_goes() {
        let busy = std::thread::spawn(|| take(ProfileKind::Cpu { seconds: 1 }));
        let mut sum = 0_u64;
        while !busy.is_finished() {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        let profile = busy.join().unwrap().unwrap();
        let here = profile.frames.iter().any(|frame| frame.function.contains("a_loop_shows_where_the_time_goes"));
        assert!(here, "{:?}", profile.frames);
        assert!(profile.stacks.iter().all(|stack| stack.amount == stack.count * profile.period));
    }
}
