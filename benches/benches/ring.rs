//! Blocks from a receiver to an owner on another thread: CPU time of both threads per row, with blocks that are made anew
//! and with blocks that come back to be used again. `build` is the receiver's part alone.
//!
//! An element is a row. `cargo bench -p farad-benches --bench ring`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot run ends")]

use std::{hint::black_box, sync::Arc, thread, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dataplane::{
    block::{Block, Cell, RowHead},
    name::Name,
    reactor::{Choice, Reactor, Wake},
    shard::ring::{Item, Signals, rings},
};
use farad_benches::{Cores, accounting::thread_time};
use rtrb::RingBuffer;

/// Rows of a body of 5,000 lines that go to one of four owners.
const ROWS: u32 = 1_250;

/// Blocks that are handed over in one go: the system counts a thread's time by ticks.
const BLOCKS: u64 = 2_000;

fn fill(block: &mut Block, columns: &Arc<[Name]>) {
    for index in 0..ROWS {
        let head = RowHead { series: index, line: index, time: i64::from(index) };
        block.begin_row(head, columns, false);
        block.push(Cell::Float(f64::from(index)));
    }
}

/// What an owner reads of a block, at least.
fn read(block: &Block) -> f64 {
    let mut sum = 0.0;
    let visited: Result<(), ()> = block.visit(0..block.len(), |row, _, cells| {
        for cell in cells.iter() {
            if let Cell::Float(value) = cell {
                sum += value + row.time as f64;
            }
        }
        Ok(())
    });
    visited.map_or(0.0, |()| sum)
}

/// CPU time of both threads for handing over so many blocks.
fn hand_over(blocks: u64, comes_back: bool, columns: &Arc<[Name]>) -> Duration {
    let wakes: Vec<_> = (0..2).map(|_| Arc::new(Wake::new().unwrap())).collect();
    let mut ends = rings(wakes.iter().map(|wake| Signals::new(wake.clone())).collect(), 16);
    let (mut owner, mut receiver) = (ends.pop().unwrap().inbound, ends.pop().unwrap().outbound);
    let (mut back, mut returned) = RingBuffer::<Block>::new(16);
    let (own_wake, wake) = (wakes[0].clone(), wakes[1].clone());
    let owning = thread::spawn(move || {
        let _ = Cores(vec![1]).pin_self();
        let mut reactor = Reactor::new(Choice::Automatic, wake.clone()).unwrap();
        let before = thread_time();
        let mut taken = 0;
        while taken < blocks {
            while let Some((_, item)) = owner.pop() {
                let Item::Block(block) = item else { panic!("only blocks are sent") };
                black_box(read(&block));
                taken += 1;
                if comes_back {
                    let _ = back.push(block);
                }
            }
            wake.fall_asleep();
            if owner.is_empty() && taken < blocks {
                reactor.wait(None).unwrap();
            }
            wake.stay_awake();
        }
        thread_time() - before
    });
    let _ = Cores(vec![0]).pin_self();
    let mut reactor = Reactor::new(Choice::Automatic, own_wake.clone()).unwrap();
    let before = thread_time();
    for _ in 0..blocks {
        let mut block = if comes_back { returned.pop().unwrap_or_default() } else { Block::default() };
        block.reuse(1);
        fill(&mut block, columns);
        let ticket = receiver.send(1, Item::Block(block)).unwrap();
        receiver.push();
        while !receiver.has_taken(ticket) {
            own_wake.fall_asleep();
            receiver.push();
            if !receiver.has_taken(ticket) {
                reactor.wait(None).unwrap();
            }
            own_wake.stay_awake();
            receiver.push();
        }
    }
    let own = thread_time() - before;
    Duration::from_nanos(own + owning.join().unwrap())
}

fn ring(criterion: &mut Criterion) {
    let columns: Arc<[Name]> = Arc::new([Name::new("usage_idle").unwrap()]);
    let mut group = criterion.benchmark_group("ring");
    group.throughput(Throughput::Elements(ROWS.into())).measurement_time(Duration::from_secs(2));
    group.bench_function("build/anew", |bencher| {
        bencher.iter(|| {
            let mut block = Block::default();
            fill(&mut block, &columns);
            black_box(read(&block))
        });
    });
    let mut block = Block::default();
    group.bench_function("build/again", |bencher| {
        bencher.iter(|| {
            block.reuse(1);
            fill(&mut block, &columns);
            black_box(read(&block))
        });
    });
    group.throughput(Throughput::Elements(u64::from(ROWS) * BLOCKS)).sample_size(10);
    for (name, comes_back) in [("hand over/anew", false), ("hand over/again", true)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| hand_over(times * BLOCKS, comes_back, &columns));
        });
    }
    group.finish();
}

criterion_group!(benches, ring);
criterion_main!(benches);
