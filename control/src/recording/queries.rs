//! Recordings of what queries answer: a task's queries over a range of time, or one query as it is.
//!
//! reference: batch-and-replay §11. Queries are made one after the other and each answer is written before the next, so a
//! recording of any length needs the memory of one answer.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use flate2::{Compression, write::GzEncoder};
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{Caps, Kind, RecordingError, Recordings, new_id, part};
use crate::{
    batch::{Query, allowed_queries},
    influxdb::{
        Clusters,
        result::{self, BatchTime, Manner},
    },
    influxql::parse_select,
    store::StoredRecording,
    tick::pipeline::TaskType,
};

impl Recordings {
    /// POST recordings/batch: the task's queries over a range of time. Must be called inside a runtime.
    pub fn batch(
        &self,
        id: Option<String>,
        task: &str,
        range: (i64, i64),
        now: i64,
    ) -> Result<StoredRecording, RecordingError> {
        let id = new_id(id)?;
        let view = self.shared.tasks.get(task)?;
        let compiled = view.compiled.map_err(RecordingError::Invalid)?;
        let recording = self.begin(id.clone(), Kind::Batch, now)?;
        if compiled.task_type == TaskType::Stream {
            self.refused(&id, "wrong task type".to_owned(), now);
            return Ok(recording);
        }
        let shared = self.shared.clone();
        let master = id.clone();
        self.write(id, Kind::Batch, move |path| {
            // A task that cannot start records nothing either.
            shared.tasks.replayed(&view.stored.id, &master)?;
            let asked = allowed_queries(&compiled.pipeline, &view.stored.dbrps)?;
            record_batch(path, &asked, range, now, &shared.clusters, shared.caps)
        });
        Ok(recording)
    }

    /// POST recordings/query: one query as it is. Must be called inside a runtime.
    pub fn query(
        &self,
        id: Option<String>,
        kind: Kind,
        query: String,
        cluster: String,
        now: i64,
    ) -> Result<StoredRecording, RecordingError> {
        let id = new_id(id)?;
        let recording = self.begin(id.clone(), kind, now)?;
        let (clusters, caps) = (self.shared.clusters.clone(), self.shared.caps);
        self.write(id, kind, move |path| {
            let runtime = tokio::runtime::Handle::current();
            let answer = within(&caps, caps.deadline(), &runtime, ask(&query, &cluster, &clusters))?;
            let failed = |error: io::Error| error.to_string();
            match kind {
                Kind::Batch => {
                    let mut archive = Archive::create(path, caps)?;
                    archive.entry(0)?;
                    archive.write(&answer.batches()?)?;
                    archive.finish()
                }
                Kind::Stream => {
                    let mut packer = GzEncoder::new(create(path)?, Compression::fast());
                    packer.write_all(&answer.stream()?).map_err(failed)?;
                    let bytes = packer.finish().and_then(complete).map_err(failed)?;
                    if bytes > caps.size { Err(caps.too_large()) } else { Ok(bytes) }
                }
            }
        });
        Ok(recording)
    }

    /// Writes a recording on a thread that may block, under a name that it keeps only when it is complete.
    fn write(&self, id: String, kind: Kind, work: impl FnOnce(&Path) -> Result<u64, String> + Send + 'static) {
        let recordings = self.clone();
        tokio::task::spawn_blocking(move || {
            let file = recordings.file(&id, kind);
            let part = part(&file);
            let result = work(&part).and_then(|bytes| {
                // One that was deleted meanwhile gets no file.
                if recordings.get(&id).is_err() {
                    return Err("the recording was deleted".to_owned());
                }
                std::fs::rename(&part, &file).map_err(|error| error.to_string())?;
                Ok(bytes)
            });
            if result.is_err() {
                let _ = std::fs::remove_file(&part);
            }
            recordings.ended(&id, result, dataplane::clock::now());
        });
    }
}

/// The ticks of a recording: `t = next(t)` while it is within the range and its window not in the future.
pub fn ticks(query: &Query, (start, stop): (i64, i64), now: i64) -> impl Iterator<Item = i64> {
    let mut time = start;
    std::iter::from_fn(move || {
        time = query.schedule.next(time)?;
        (time <= stop && time.saturating_sub(query.offset) <= now).then_some(time)
    })
}

fn record_batch(
    path: &Path,
    queries: &[Query],
    range: (i64, i64),
    now: i64,
    clusters: &Clusters,
    caps: Caps,
) -> Result<u64, String> {
    let (runtime, deadline) = (tokio::runtime::Handle::current(), caps.deadline());
    let mut archive = Archive::create(path, caps)?;
    // The first entry is that of the last query.
    for (entry, query) in queries.iter().rev().enumerate() {
        archive.entry(entry)?;
        for tick in ticks(query, range, now) {
            let asked = within(&caps, deadline, &runtime, query.ask(clusters, tick, false, now))?;
            archive.write(&asked.lines)?;
            if !path.exists() {
                return Err("the recording was deleted".to_owned());
            }
        }
    }
    archive.finish()
}

/// Waits for an answer as long as the recording may take.
fn within<T>(
    caps: &Caps,
    deadline: Option<Instant>,
    runtime: &tokio::runtime::Handle,
    answer: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    match deadline {
        None => runtime.block_on(answer),
        Some(deadline) => runtime
            .block_on(async { tokio::time::timeout_at(deadline.into(), answer).await })
            .unwrap_or_else(|_| Err(caps.too_long())),
    }
}

/// The archive of a batch recording on its way.
struct Archive {
    writer: ZipWriter<BufWriter<File>>,
    path: PathBuf,
    caps: Caps,
    /// Bytes since the file's size was looked at.
    unseen: u64,
}

/// How much is written between two looks at the size of the file.
const LOOK_BYTES: u64 = 1 << 20;

impl Archive {
    fn create(path: &Path, caps: Caps) -> Result<Archive, String> {
        Ok(Archive { writer: ZipWriter::new(create(path)?), path: path.to_owned(), caps, unseen: 0 })
    }

    /// Any entry may grow beyond 4 GiB.
    fn entry(&mut self, number: usize) -> Result<(), String> {
        let options = SimpleFileOptions::default().large_file(true);
        self.writer.start_file(number.to_string(), options).map_err(|error| error.to_string())
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), String> {
        self.writer.write_all(lines).map_err(|error| error.to_string())?;
        self.unseen += lines.len() as u64;
        if self.unseen < LOOK_BYTES.min(self.caps.size) {
            return Ok(());
        }
        self.unseen = 0;
        let bytes = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        if bytes > self.caps.size { Err(self.caps.too_large()) } else { Ok(()) }
    }

    fn finish(self) -> Result<u64, String> {
        let file = self.writer.finish().map_err(|error| error.to_string())?;
        let bytes = complete(file).map_err(|error| error.to_string())?;
        if bytes > self.caps.size { Err(self.caps.too_large()) } else { Ok(bytes) }
    }
}

fn create(path: &Path) -> Result<BufWriter<File>, String> {
    let failed = |error| format!("cannot write {}: {error}", path.display());
    Ok(BufWriter::with_capacity(256 << 10, File::create(path).map_err(failed)?))
}

/// All of it is on disk when this returns; its length.
fn complete(file: BufWriter<File>) -> io::Result<u64> {
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// The answer to a query that is no task's.
pub struct Answer {
    body: bytes::Bytes,
    database: String,
    retention_policy: String,
}

/// Sends a query as it is; must be called outside of the runtime's own threads, on one that may block.
pub fn answer(query: &str, cluster: &str, clusters: &Clusters) -> Result<Answer, String> {
    tokio::runtime::Handle::current().block_on(ask(query, cluster, clusters))
}

async fn ask(query: &str, cluster: &str, clusters: &Clusters) -> Result<Answer, String> {
    let select = parse_select(query).map_err(|error| error.bare())?;
    let named =
        |source: &&crate::influxql::SourceName| !source.database.is_empty() && !source.retention_policy.is_empty();
    let source = match select.sources.as_slice() {
        [source] => Some(source).filter(named),
        _ => None,
    };
    let source = source.ok_or("could not determine database and retention policy. Is the query fully qualified?")?;
    let client = clusters.get(cluster).map_err(|error| error.to_string())?;
    let body = client.query(query).await.map_err(|error| format!("InfluxDB query failed: {error}"))?;
    Ok(Answer { body, database: source.database.clone(), retention_policy: source.retention_policy.clone() })
}

impl Answer {
    /// A line a series; the time of a batch is that of its last point.
    pub fn batches(&self) -> Result<Vec<u8>, String> {
        let manner = Manner { by_name: false, time: BatchTime::Last(dataplane::rfc3339::ZERO_TIME) };
        let mut lines = Vec::new();
        result::batches(&self.body, manner, &mut lines).map_err(|error| format!("InfluxDB query failed: {error}"))?;
        Ok(lines)
    }

    /// The points of all series as the text of a stream recording: always the next point of the series whose next one is the
    /// earliest, which is the order of time unless the answer has its rows in another order.
    pub fn stream(&self) -> Result<Vec<u8>, String> {
        let failed = |error: result::ResultError| format!("InfluxDB query failed: {error}");
        let all = result::series(&self.body).map_err(failed)?;
        let mut merged: Vec<VecDeque<(i64, String)>> = Vec::with_capacity(all.len());
        for series in &all {
            let mut points = VecDeque::new();
            let mut head = escaped(&series.name, ", ");
            for (key, value) in series.tags.iter().filter(|(_, value)| !value.is_empty()) {
                head.push_str(&format!(",{}={}", escaped(key, ",= "), escaped(value, ",= ")));
            }
            let mut columns: Vec<(&String, usize)> =
                series.columns.iter().enumerate().map(|(index, column)| (column, index)).collect();
            columns.sort();
            series
                .each_row(|row| {
                    let (mut fields, mut time) = (Vec::new(), dataplane::rfc3339::ZERO_TIME);
                    for (column, index) in &columns {
                        let Some(value) = row.get(*index).map(|value| value.get()) else { continue };
                        match serde_json::from_str(value).unwrap_or_default() {
                            _ if *column == "time" => time = result::time_of(value)?,
                            serde_json::Value::Number(number) => {
                                let number = number.as_f64().unwrap_or_default();
                                fields.push(format!("{}={number}", escaped(column, ",= ")));
                            }
                            serde_json::Value::Bool(value) => {
                                fields.push(format!("{}={value}", escaped(column, ",= ")))
                            }
                            serde_json::Value::String(text) => {
                                fields.push(format!("{}=\"{}\"", escaped(column, ",= "), escaped(&text, "\"\\")));
                            }
                            _ => {}
                        }
                    }
                    if !fields.is_empty() {
                        points.push_back((time, format!("{head} {} {time}\n", fields.join(","))));
                    }
                    Ok(())
                })
                .map_err(failed)?;
            merged.push(points);
        }
        let mut text = String::new();
        let mut heads: BinaryHeap<_> = (0..merged.len()).filter_map(|series| head(&merged, series)).collect();
        while let Some(Reverse((_, series))) = heads.pop() {
            if let Some((_, line)) = merged.get_mut(series).and_then(VecDeque::pop_front) {
                text.push_str(&format!("{}\n{}\n{line}", self.database, self.retention_policy));
            }
            heads.extend(head(&merged, series));
        }
        Ok(text.into_bytes())
    }
}

/// Time of the next point of a series, and its number.
fn head(merged: &[VecDeque<(i64, String)>], series: usize) -> Option<Reverse<(i64, usize)>> {
    merged.get(series)?.front().map(|(time, _)| Reverse((*time, series)))
}

fn escaped(text: &str, special: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps { size: 1 << 20, duration: std::time::Duration::ZERO };

    #[test]
    fn entries_have_room_for_sizes_beyond_four_gigabytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.brpl");
        let mut archive = Archive::create(&path, CAPS).unwrap();
        archive.entry(0).unwrap();
        archive.write(b"{}\n").unwrap();
        let bytes = archive.finish().unwrap();
        let file = std::fs::read(&path).unwrap();
        assert_eq!(file.len() as u64, bytes);
        // Extra field of the first header: kind 1 with two sizes of eight bytes.
        let extra = 30 + usize::from(file[26]);
        assert_eq!((file[28], &file[extra..extra + 4], file[extra + 4]), (20, &[1, 0, 16, 0][..], 3), "{file:?}");
    }

    #[test]
    fn an_archive_ends_at_its_largest_size() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = Archive::create(&folder.path().join("r.brpl"), Caps { size: 100, ..CAPS }).unwrap();
        archive.entry(0).unwrap();
        let written = archive.write(&[b'x'; 50]).and_then(|()| archive.finish());
        assert_eq!(written.unwrap_err(), "the recording reached its largest size of 100 bytes");
    }

    #[test]
    fn of_falling_times_the_next_point_of_the_earliest_series_comes() {
        let body = r#"{"results":[{"series":[
            {"name":"a","columns":["time","v"],"values":[["1970-01-01T00:00:03Z",1],["1970-01-01T00:00:01Z",2]]},
            {"name":"b","columns":["time","v"],"values":[["1970-01-01T00:00:02Z",3],["1970-01-01T00:00:00Z",4]]}]}]}"#;
        let answer = Answer { body: body.into(), database: "d".into(), retention_policy: "r".into() };
        let text = String::from_utf8(answer.stream().unwrap()).unwrap();
        let values: Vec<&str> = text.lines().skip(2).step_by(3).map(|line| line.split(' ').nth(1).unwrap()).collect();
        assert_eq!(values, ["v=3", "v=4", "v=1", "v=2"]);
    }

    #[test]
    fn series_of_an_answer_are_merged_by_time() {
        let body = r#"{"results":[{"series":[
            {"name":"cpu","tags":{"host":"a b","x":""},"columns":["time","v","s"],"values":[["2020-09-13T12:26:40Z",1,"q\"x"],["2020-09-13T12:26:42Z",null,null]]},
            {"name":"cpu","tags":{"host":"b"},"columns":["time","v","s"],"values":[["2020-09-13T12:26:39Z",2.5,null],["2020-09-13T12:26:40Z",true,null]]}]}]}"#;
        let answer = Answer { body: body.into(), database: "d".into(), retention_policy: "r".into() };
        assert_eq!(
            String::from_utf8(answer.stream().unwrap()).unwrap(),
            "d\nr\ncpu,host=b v=2.5 1599999999000000000\n\
             d\nr\ncpu,host=a\\ b s=\"q\\\"x\",v=1 1600000000000000000\n\
             d\nr\ncpu,host=b v=true 1600000000000000000\n"
        );
    }
}
