//! CPU time and memory of processes, from `/proc`.

use std::{collections::BTreeMap, fs};

/// Ticks a second of `utime` and `stime`: the kernel's user interface fixes them.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time that a process has used, by two counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpuTime {
    /// ns on a core of each thread that lives.
    threads: BTreeMap<u32, u64>,
    /// The part of threads that are named `shard-N`.
    shards: u64,
    /// ns that these threads could have run and had no core.
    waited: u64,
    /// User and system time with that of threads that ended, in ticks.
    ticks: u64,
}

impl CpuTime {
    /// Of a process that runs; nothing where it does not.
    pub fn of(pid: u32) -> CpuTime {
        let (mut threads, mut waited, mut shards) = (BTreeMap::new(), 0, 0);
        for entry in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let thread = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let used = fs::read_to_string(entry.path().join("schedstat")).ok().and_then(|text| schedstat(&text));
            if let (Some(thread), Some((ran, waits))) = (thread, used) {
                threads.insert(thread, ran);
                waited += waits;
                let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                shards += if name.starts_with("shard-") { ran } else { 0 };
            }
        }
        let ticks = fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|text| ticks(&text)).unwrap_or(0);
        CpuTime { threads, shards, waited, ticks }
    }

    /// ns used since `before` by ticks, which know threads that began and ended in between.
    pub fn since_by_ticks(&self, before: &CpuTime) -> u64 {
        self.ticks.saturating_sub(before.ticks) * (1_000_000_000 / TICKS_PER_SECOND)
    }

    /// ns used since `before`: to the ns where the same threads live, else by ticks.
    pub fn since(&self, before: &CpuTime) -> u64 {
        let by_ticks = self.since_by_ticks(before);
        if self.threads.is_empty() || !self.threads.keys().eq(before.threads.keys()) {
            return by_ticks;
        }
        let total = |time: &CpuTime| time.threads.values().sum::<u64>();
        total(self).saturating_sub(total(before))
    }

    /// ns that shards used since `before`.
    pub fn shards_since(&self, before: &CpuTime) -> u64 {
        self.shards.saturating_sub(before.shards)
    }

    /// ns since `before` in which its threads waited for a core, one for another or for other processes.
    pub fn waited_since(&self, before: &CpuTime) -> u64 {
        self.waited.saturating_sub(before.waited)
    }
}

/// ns that the calling thread has been on a core; 0 where the system does not tell.
pub fn thread_time() -> u64 {
    let own = fs::read_to_string("/proc/thread-self/schedstat");
    own.ok().and_then(|text| schedstat(&text)).map_or(0, |(ran, _)| ran)
}

/// First two numbers of a thread's `schedstat`: ns on a core and ns waiting for one.
fn schedstat(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_ascii_whitespace().map_while(|word| word.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// `utime` and `stime` of a `stat` line. The name in parentheses may hold anything.
fn ticks(text: &str) -> Option<u64> {
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

/// Resident memory, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub now: u64,
    pub peak: u64,
}

impl Memory {
    /// Of all these processes together; their peaks are added.
    pub fn of(pids: &[u32]) -> Memory {
        let read = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/status")).ok();
        pids.iter()
            .filter_map(read)
            .map(|text| memory(&text))
            .fold(Memory::default(), |sum, one| Memory { now: sum.now + one.now, peak: sum.peak + one.peak })
    }
}

fn memory(status: &str) -> Memory {
    let bytes = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
    };
    Memory { now: bytes("VmRSS").unwrap_or(0), peak: bytes("VmHWM").unwrap_or(0) }
}

/// Makes the peak of a process start at what it holds now; without the right to, the old peak stays.
pub fn reset_peak(pid: u32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stat_behind_a_hostile_name() {
        let line = "77 (a) R (b) S 1 77 77 0 -1 4194560 500 0 1 0 120 34 0 0 20 0 3 0 100 0 0";
        assert_eq!(ticks(line), Some(154));
        assert_eq!(ticks("77 (a"), None);
        assert_eq!(ticks("77 (a) S 1"), None);
    }

    #[test]
    fn reads_schedstat_and_status() {
        assert_eq!(schedstat("244058 17 3\n"), Some((244_058, 17)));
        assert_eq!(schedstat(""), None);
        let status = "Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(memory(status), Memory { now: 1 << 20, peak: 2 << 20 });
        assert_eq!(memory("Name: kernel thread"), Memory::default());
    }

    #[test]
    fn ticks_count_where_threads_came_or_went() {
        let time = |threads: &[(u32, u64)], ticks| CpuTime {
            threads: threads.iter().copied().collect(),
            shards: 0,
            waited: ticks * 7,
            ticks,
        };
        let before = time(&[(1, 1_000), (2, 5_000)], 10);
        assert_eq!(time(&[(1, 1_500), (2, 5_000)], 10).since(&before), 500);
        assert_eq!(time(&[(1, 1_500)], 12).since(&before), 20_000_000);
        assert_eq!(time(&[(1, 1_500)], 12).waited_since(&before), 14);
        assert_eq!(time(&[(1, 1_500), (2, 5_000), (3, 1)], 11).since(&before), 10_000_000);
    }

    #[test]
    fn this_process_uses_time() {
        let pid = std::process::id();
        let before = CpuTime::of(pid);
        let mut number = 1;
        let end = std::time::Instant::now() + std::time::Duration::from_millis(60);
        while std::time::Instant::now() < end {
            number = std::hint::black_box(crate::lines::mix(number));
        }
        assert!(CpuTime::of(pid).since(&before) > 0);
        let memory = Memory::of(&[pid]);
        assert!(memory.now > 0 && memory.peak >= memory.now);
    }
}
