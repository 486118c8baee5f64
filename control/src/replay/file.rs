//! Files of recordings as they are read for a replay (reference: http-api §16).
//!
//! A stream's text is handed on as it comes out of the archive. The sources of a batch recording are read side by side
//! and merged by the time of their batches, so that joins find their partners and nothing piles up.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use proto::feed::BATCH_BYTES_MAX;

/// Bytes of a file that are read at once.
const READ_BYTES: usize = 256 << 10;

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("data source open: open {path}: {error}")]
    Open { path: PathBuf, error: String },
    #[error("data source open: gzip: invalid header")]
    NotGzip,
    #[error("data source open: EOF")]
    Empty,
    #[error("data source open: zip: not a valid zip file")]
    NotZip,
    #[error("unexpected number of batch collectors. exp {found} got {wanted}")]
    Sources { found: usize, wanted: usize },
    #[error("{0}")]
    Query(String),
    #[error("read replay file failed: {0}")]
    Read(#[from] io::Error),
    #[error("read replay file failed: a batch has more than {BATCH_BYTES_MAX} bytes")]
    TooLong,
}

/// How much of a file has been read; shared with who shows it.
#[derive(Clone, Default)]
pub struct Progress {
    read: Arc<AtomicU64>,
    total: Arc<AtomicU64>,
}

impl Progress {
    /// Between 0 and 1.
    pub fn fraction(&self) -> f64 {
        match self.total.load(Ordering::Relaxed) {
            0 => 0.0,
            total => (self.read.load(Ordering::Relaxed) as f64 / total as f64).min(1.0),
        }
    }
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.progress.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

fn open(path: &Path) -> Result<File, FileError> {
    File::open(path).map_err(|error| FileError::Open {
        path: path.to_owned(),
        error: match error.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            _ => error.to_string(),
        },
    })
}

/// The text of a stream recording.
pub struct StreamFile(MultiGzDecoder<BufReader<Counted<File>>>);

impl StreamFile {
    pub fn open(path: &Path, progress: &Progress) -> Result<StreamFile, FileError> {
        let file = open(path)?;
        progress.total.store(file.metadata()?.len(), Ordering::Relaxed);
        let counted = Counted { inner: file, progress: progress.clone() };
        let mut reader = BufReader::with_capacity(READ_BYTES, counted);
        match reader.fill_buf()? {
            [] => Err(FileError::Empty),
            [0x1f, 0x8b, ..] => Ok(StreamFile(MultiGzDecoder::new(reader))),
            _ => Err(FileError::NotGzip),
        }
    }
}

impl Read for StreamFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

/// The lines of the sources of a batch recording, merged by the time of their batches.
pub struct BatchFile {
    sources: Vec<Source>,
}

struct Source {
    /// Index of the query node.
    query: u16,
    reader: Box<dyn BufRead + Send>,
    /// The next line with its newline, and its batch's time as text; `None` at the end.
    ahead: Option<(Vec<u8>, i64)>,
}

impl BatchFile {
    /// Opens the entries of a recording for a task with so many queries.
    pub fn open(path: &Path, queries: usize, progress: &Progress) -> Result<BatchFile, FileError> {
        let file = open(path)?;
        progress.total.store(file.metadata()?.len(), Ordering::Relaxed);
        let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|_| FileError::NotZip)?;
        if archive.len() != queries {
            return Err(FileError::Sources { found: archive.len(), wanted: queries });
        }
        let mut sources = Vec::with_capacity(queries);
        for index in 0..queries {
            let (start, length, method) = {
                let entry = archive.by_index_raw(index).map_err(|_| FileError::NotZip)?;
                (entry.data_start(), entry.compressed_size(), entry.compression())
            };
            let mut file = open(path)?;
            file.seek(SeekFrom::Start(start))?;
            let counted = Counted { inner: file.take(length), progress: progress.clone() };
            let packed = BufReader::with_capacity(READ_BYTES, counted);
            let reader: Box<dyn BufRead + Send> = match method {
                zip::CompressionMethod::Stored => Box::new(packed),
                zip::CompressionMethod::Deflated => {
                    Box::new(BufReader::with_capacity(READ_BYTES, DeflateDecoder::new(packed)))
                }
                _ => return Err(FileError::NotZip),
            };
            // The first entry is that of the last query.
            let query = u16::try_from(queries - 1 - index).unwrap_or(u16::MAX);
            let mut source = Source { query, reader, ahead: None };
            source.advance()?;
            sources.push(source);
        }
        Ok(BatchFile { sources })
    }

    /// The next batch's line: query node and text.
    pub fn next_line(&mut self) -> Result<Option<(u16, Vec<u8>)>, FileError> {
        let ahead = self.sources.iter_mut().filter(|source| source.ahead.is_some());
        // Of equal times the query that stands first in the script.
        let Some(first) = ahead.min_by_key(|source| (source.ahead.as_ref().map(|(_, time)| *time), source.query))
        else {
            return Ok(None);
        };
        let line = first.ahead.take().map(|(line, _)| (first.query, line));
        first.advance()?;
        Ok(line)
    }
}

impl Source {
    fn advance(&mut self) -> Result<(), FileError> {
        let mut line = Vec::new();
        let read = (&mut self.reader).take(BATCH_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line)?;
        if read > BATCH_BYTES_MAX {
            return Err(FileError::TooLong);
        }
        self.ahead = (read > 0).then(|| {
            let time = time_of(&line).unwrap_or(i64::MIN);
            (line, time)
        });
        Ok(())
    }
}

/// The batch's time. Inside a string the quotes of the key would be escaped, so the bytes tell.
fn time_of(line: &[u8]) -> Option<i64> {
    time_behind(line, memchr::memmem::find(line, b"\"tmax\":\"")? + 8)
}

/// The time of the batch's last point.
pub fn last_time(line: &[u8]) -> Option<i64> {
    time_behind(line, memchr::memmem::rfind(line, b"\"time\":\"")? + 8)
}

/// The time of the batch's first point.
pub fn first_time(line: &[u8]) -> Option<i64> {
    let points = memchr::memmem::find(line, b"\"points\":[")?;
    time_behind(line, points + memchr::memmem::find(&line[points..], b"\"time\":\"")? + 8)
}

fn time_behind(line: &[u8], start: usize) -> Option<i64> {
    let text = line.get(start..)?;
    let end = memchr::memchr(b'"', text)?;
    dataplane::rfc3339::parse(std::str::from_utf8(text.get(..end)?).ok()?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn line(name: &str, tmax: &str) -> String {
        format!(
            "{{\"name\":\"{name}\",\"tmax\":\"{tmax}\",\"points\":[{{\"fields\":{{\"v\":\"\\\"time\\\":\\\"x\"}},\"tags\":null,\"time\":\"{tmax}\"}}]}}\n"
        )
    }

    #[test]
    fn sources_are_merged_by_time_and_the_first_entry_is_the_last_query() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.brpl");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        for (entry, times) in [
            ("0", ["2020-01-01T00:00:10Z", "2020-01-01T00:00:30Z"]),
            ("1", ["2020-01-01T00:00:10Z", "2020-01-01T00:00:20Z"]),
        ] {
            archive.start_file(entry, zip::write::SimpleFileOptions::default()).unwrap();
            for time in times {
                archive.write_all(line(entry, time).as_bytes()).unwrap();
            }
        }
        archive.finish().unwrap();
        let progress = Progress::default();
        assert!(matches!(BatchFile::open(&path, 1, &progress), Err(FileError::Sources { found: 2, wanted: 1 })));
        let mut file = BatchFile::open(&path, 2, &progress).unwrap();
        let mut seen = Vec::new();
        while let Some((query, text)) = file.next_line().unwrap() {
            assert_eq!((last_time(&text), first_time(&text)), (time_of(&text), time_of(&text)));
            seen.push((query, time_of(&text).unwrap() / 1_000_000_000 % 60));
        }
        assert_eq!(seen, [(0, 10), (1, 10), (0, 20), (1, 30)]);
        assert!(progress.fraction() > 0.5);
    }

    #[test]
    fn sizes_that_stand_in_a_zip64_field_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.brpl");
        let text = line("a", "2020-01-01T00:00:10Z");
        let mut archive = Vec::new();
        let header = |signature: [u8; 4], central: bool| {
            let mut bytes = signature.to_vec();
            // Versions, flags, stored, time, checksum (nobody asks for it), both sizes, length of name and extra.
            bytes.extend(if central { &[45, 0, 45, 0][..] } else { &[45, 0][..] });
            bytes.extend([0; 8]);
            bytes.extend([0; 4]);
            bytes.extend([0xff; 8]);
            bytes.extend([1, 0, 20, 0]);
            bytes.extend(if central { &[0; 14][..] } else { &[][..] });
            bytes.push(b'0');
            bytes.extend([1, 0, 16, 0]);
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes
        };
        archive.extend(header([0x50, 0x4b, 3, 4], false));
        archive.extend(text.as_bytes());
        let (start, central) = (archive.len() as u32, header([0x50, 0x4b, 1, 2], true));
        archive.extend(&central);
        archive.extend([0x50, 0x4b, 5, 6, 0, 0, 0, 0, 1, 0, 1, 0]);
        archive.extend((central.len() as u32).to_le_bytes());
        archive.extend(start.to_le_bytes());
        archive.extend([0, 0]);
        std::fs::write(&path, &archive).unwrap();
        let mut file = BatchFile::open(&path, 1, &Progress::default()).unwrap();
        assert_eq!(file.next_line().unwrap(), Some((0, text.into_bytes())));
        assert!(file.next_line().unwrap().is_none());
    }

    #[test]
    fn what_is_no_recording_is_named_as_the_original_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let progress = Progress::default();
        let text = |result: Result<StreamFile, FileError>| result.err().map(|error| error.to_string());
        assert!(text(StreamFile::open(&path, &progress)).unwrap().ends_with("no such file or directory"));
        std::fs::write(&path, b"").unwrap();
        assert_eq!(text(StreamFile::open(&path, &progress)).unwrap(), "data source open: EOF");
        std::fs::write(&path, b"PK\x03\x04 not gzip").unwrap();
        assert_eq!(text(StreamFile::open(&path, &progress)).unwrap(), "data source open: gzip: invalid header");
        assert!(matches!(BatchFile::open(&path, 1, &progress), Err(FileError::NotZip)));
    }
}
