//! The files of stream recordings.
//!
//! ```text
//! record operator ── text, bounded queue ──► this thread: gzip ──► ID.srpl.part ── complete ──► ID.srpl
//! ```
//!
//! Packing costs far more than writing, so the files have a thread of their own. It writes through io_uring where the
//! kernel allows it and through the runtime's blocking pool where not. A file bears its name only when it is complete and
//! on disk; whatever ends early leaves nothing behind.

mod file;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use flate2::{Compression, write::GzEncoder};
use tokio::{
    sync::mpsc,
    task::{LocalSet, spawn_local},
};

use crate::node::Recorded;
use file::{Access, Output};

/// Pieces of text that wait for a file: 64 MiB. Full: the recording fails.
pub const PIECES: usize = 512;

/// Packed bytes that are written at once.
const WRITE_BYTES: usize = 256 << 10;

/// A file to write.
pub struct Job {
    pub id: String,
    /// Its name when it is complete.
    pub file: PathBuf,
    pub bytes_max: u64,
    pub text: mpsc::Receiver<Recorded>,
    /// Nobody wants the file any more: what waits need not be written.
    pub dropped: Arc<AtomicBool>,
}

/// A file is complete, or there is none.
pub struct Ended {
    pub id: String,
    pub result: Result<u64, RecordingError>,
}

#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The tap ended before its last point.
    #[error("the recording was given up")]
    GivenUp,
    #[error("the recording reached its largest size of {0} bytes")]
    TooLarge(u64),
    #[error("cannot write {path}: {error}")]
    File { path: PathBuf, error: io::Error },
}

/// Starts the thread; it ends when all senders of jobs are gone.
pub fn start(ended: mpsc::UnboundedSender<Ended>) -> io::Result<mpsc::UnboundedSender<Job>> {
    let (jobs, received) = mpsc::unbounded_channel();
    thread::Builder::new().name("recordings".into()).spawn(move || run(received, ended))?;
    Ok(jobs)
}

fn run(jobs: mpsc::UnboundedReceiver<Job>, ended: mpsc::UnboundedSender<Ended>) {
    let _ = crate::scheduling::prefer_throughput();
    match tokio_uring::Runtime::new(&tokio_uring::builder()) {
        Ok(runtime) => runtime.block_on(serve(jobs, ended, Access::Uring)),
        Err(error) => {
            tracing::info!(%error, "io_uring is not allowed here: recordings are written without it");
            match tokio::runtime::Builder::new_current_thread().build() {
                Ok(runtime) => runtime.block_on(LocalSet::new().run_until(serve(jobs, ended, Access::Pool))),
                Err(error) => tracing::error!(%error, "recordings cannot be written"),
            }
        }
    }
}

async fn serve(mut jobs: mpsc::UnboundedReceiver<Job>, ended: mpsc::UnboundedSender<Ended>, access: Access) {
    while let Some(job) = jobs.recv().await {
        let ended = ended.clone();
        spawn_local(async move {
            let id = job.id.clone();
            let result = write(job, access).await;
            let _ = ended.send(Ended { id, result });
        });
    }
}

async fn write(mut job: Job, access: Access) -> Result<u64, RecordingError> {
    let part = part(&job.file);
    let result = pack(&mut job, &part, access).await;
    if result.is_err() {
        // It may not have been made at all.
        let _ = std::fs::remove_file(&part);
    }
    result
}

/// The name of a file that is not complete.
pub fn part(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

async fn pack(job: &mut Job, part: &Path, access: Access) -> Result<u64, RecordingError> {
    let failed = |error| RecordingError::File { path: part.to_owned(), error };
    let mut output = Output::create(part, access).await.map_err(failed)?;
    let mut packer = GzEncoder::new(Vec::with_capacity(WRITE_BYTES * 2), Compression::fast());
    loop {
        match job.text.recv().await {
            _ if job.dropped.load(Ordering::Relaxed) => return Err(RecordingError::GivenUp),
            Some(Recorded::Text(text)) => {
                packer.write_all(&text).map_err(failed)?;
                if packer.get_ref().len() >= WRITE_BYTES {
                    let packed = std::mem::replace(packer.get_mut(), Vec::with_capacity(WRITE_BYTES * 2));
                    output.append(packed).await.map_err(failed)?;
                    if output.len() > job.bytes_max {
                        return Err(RecordingError::TooLarge(job.bytes_max));
                    }
                }
            }
            Some(Recorded::End) => break,
            None => return Err(RecordingError::GivenUp),
        }
    }
    output.append(packer.finish().map_err(failed)?).await.map_err(failed)?;
    let bytes = output.len();
    output.complete().await.map_err(failed)?;
    std::fs::rename(part, &job.file).map_err(failed)?;
    if let Some(folder) = job.file.parent() {
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("farad-recording-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn record(folder: &Path, bytes_max: u64, pieces: Vec<Recorded>) -> Result<u64, RecordingError> {
        let (sender, mut ended) = mpsc::unbounded_channel();
        let jobs = start(sender).unwrap();
        let (text, received) = mpsc::channel(PIECES);
        jobs.send(Job {
            id: "r".into(),
            file: folder.join("r.srpl"),
            bytes_max,
            text: received,
            dropped: Arc::default(),
        })
        .ok()
        .unwrap();
        for piece in pieces {
            text.blocking_send(piece).ok();
        }
        drop(text);
        ended.blocking_recv().unwrap().result
    }

    #[test]
    fn a_complete_recording_is_a_gzip_file_with_the_text() {
        let folder = folder("complete");
        let text = |text: &str| Recorded::Text(text.as_bytes().to_vec());
        let bytes = record(&folder, u64::MAX, vec![text("a\nb\n"), text("c v=1 1\n"), Recorded::End]).unwrap();
        let file = std::fs::read(folder.join("r.srpl")).unwrap();
        assert_eq!((file.len() as u64, &file[..3]), (bytes, &b"\x1f\x8b\x08"[..]));
        let mut read = String::new();
        flate2::read::GzDecoder::new(&*file).read_to_string(&mut read).unwrap();
        assert_eq!(read, "a\nb\nc v=1 1\n");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_ends_early_leaves_no_file() {
        let folder = folder("early");
        let noise = |seed: u64| {
            let mut state = seed + 1;
            let byte = std::iter::repeat_with(move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as u8
            });
            Recorded::Text(byte.take(400 << 10).collect())
        };
        assert!(matches!(record(&folder, u64::MAX, vec![noise(1)]), Err(RecordingError::GivenUp)));
        assert!(matches!(record(&folder, 1_000, vec![noise(1), noise(2)]), Err(RecordingError::TooLarge(1_000))));
        assert!(matches!(record(&folder.join("none"), 1, vec![]), Err(RecordingError::File { .. })));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
