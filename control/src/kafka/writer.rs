//! Records on their way to one topic: to the leader of each one's partition, and again while that may help.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout_at},
};

use super::{
    Partitioner, Settings,
    connection::{Connection, METADATA, PRODUCE},
    error::{KafkaError, LEADER_NOT_AVAILABLE, MESSAGE_TOO_LARGE},
    records::batch,
    wire::{Answer, CutShort, Fields},
};

/// What a request holds at most, unless one record alone is larger: brokers take a million bytes unless told otherwise.
pub const REQUEST_BYTES_MAX: usize = 1_000_000;

/// Pauses between attempts.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The leader has to have written a record, as the original asks.
const ACKS: i16 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub partitioner: Partitioner,
}

/// Writes to one topic of a cluster, for all who do.
pub struct TopicWriter {
    settings: Settings,
    topic: String,
    cluster: Mutex<Cluster>,
    written: AtomicU64,
    errors: AtomicU64,
}

/// What is known of the cluster, and the connections to its brokers.
#[derive(Default)]
struct Cluster {
    /// Addresses of the brokers, by number.
    brokers: BTreeMap<i32, String>,
    /// The leader of each partition, -1 for none. `None`: it has to be asked for.
    leaders: Option<Vec<i32>>,
    connections: BTreeMap<i32, Connection>,
    /// Bytes written to each partition.
    filled: Vec<u64>,
}

/// A record that is not written yet.
struct Open<'a> {
    /// Its place among those that are written together.
    place: usize,
    record: &'a Record,
    /// Chosen once, so that another attempt goes to the same one.
    partition: Option<usize>,
}

impl TopicWriter {
    pub fn new(settings: Settings, topic: String) -> TopicWriter {
        let (written, errors) = (AtomicU64::new(0), AtomicU64::new(0));
        TopicWriter { settings, topic, cluster: Mutex::default(), written, errors }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Records that were written, and those that were not.
    pub fn counts(&self) -> (u64, u64) {
        (self.written.load(Ordering::Relaxed), self.errors.load(Ordering::Relaxed))
    }

    /// Writes records; gives what became of each. What may be better a moment later (a broker that is down, a partition
    /// that gets another leader) is tried again until `limit` has passed. Records of one partition keep their order; one
    /// whose answer got lost is written twice. `now` in nanoseconds since 1970.
    pub async fn write(&self, records: &[&Record], now: i64, limit: Duration) -> Vec<Result<(), KafkaError>> {
        let end = Instant::now() + limit;
        let mut results = Vec::with_capacity(records.len());
        let mut left = records;
        while !left.is_empty() {
            let (together, rest) = left.split_at(request_length(left));
            for (place, result) in self.write_together(together, now, end).await.into_iter().enumerate() {
                // It was perhaps the others that were too much for the topic.
                let too_large = matches!(result, Err(KafkaError::Refused { code: MESSAGE_TOO_LARGE, .. }));
                match too_large && together.len() > 1 {
                    true => results.extend(self.write_together(&together[place..=place], now, end).await),
                    false => results.push(result),
                }
            }
            left = rest;
        }
        let written = results.iter().filter(|result| result.is_ok()).count() as u64;
        self.written.fetch_add(written, Ordering::Relaxed);
        self.errors.fetch_add(results.len() as u64 - written, Ordering::Relaxed);
        results
    }

    async fn write_together(&self, records: &[&Record], now: i64, end: Instant) -> Vec<Result<(), KafkaError>> {
        let mut results = vec![Ok(()); records.len()];
        let open = |(place, record)| Open { place, record, partition: None };
        let mut open: Vec<Open<'_>> = records.iter().copied().enumerate().map(open).collect();
        let mut pause = PAUSE_MIN;
        let mut last: Option<KafkaError> = None;
        loop {
            // Others write to the topic between attempts.
            let attempt = async { self.cluster.lock().await.attempt(self, &mut open, now, &mut results).await };
            match timeout_at(end, attempt).await {
                Ok(Ok(())) => return results,
                Ok(Err(error)) => {
                    if last.is_none() && error.may_pass() {
                        let (cluster, topic) = (&self.settings.cluster, &self.topic);
                        tracing::warn!(service = "kafka", cluster, topic, err = %error, "records wait");
                    }
                    last = Some(error);
                }
                Err(_) => {}
            }
            let error = match &last {
                Some(error) if error.may_pass() && Instant::now() + pause < end => {
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                    continue;
                }
                Some(error) => error.clone(),
                None => KafkaError::Late { address: self.settings.brokers.join(", "), limit: self.settings.timeout },
            };
            open.iter().for_each(|open| results[open.place] = Err(error.clone()));
            return results;
        }
    }
}

/// How many records go together.
fn request_length(records: &[&Record]) -> usize {
    let mut bytes = 0;
    let fits = |record: &&&Record| {
        bytes += record.key.len() + record.value.len();
        bytes <= REQUEST_BYTES_MAX
    };
    records.iter().take_while(fits).count().max(1)
}

impl Cluster {
    /// Tries to write what is open; what is written, and what never can be, is not open afterwards. The error says why
    /// something still is.
    async fn attempt(
        &mut self,
        writer: &TopicWriter,
        open: &mut Vec<Open<'_>>,
        now: i64,
        results: &mut [Result<(), KafkaError>],
    ) -> Result<(), KafkaError> {
        let leaders = match self.leaders.take() {
            Some(leaders) => leaders,
            None => self.ask_for_leaders(writer).await?,
        };
        self.filled.resize(leaders.len(), 0);
        // By leader and partition.
        let mut requests = BTreeMap::<i32, BTreeMap<usize, Vec<&Record>>>::new();
        for open in open.iter_mut() {
            let record = open.record;
            let partition = *open.partition.get_or_insert_with(|| {
                let partition = record.partitioner.choose(&record.key, &self.filled);
                self.filled[partition] += (record.key.len() + record.value.len()) as u64;
                partition
            });
            let leader = leaders.get(partition).copied().unwrap_or(-1);
            requests.entry(leader).or_default().entry(partition).or_default().push(record);
        }
        let refused = |code| KafkaError::Refused { topic: writer.topic.clone(), code };
        let mut failed = None;
        for (leader, partitions) in requests {
            let answered = match leader {
                ..0 => Err(refused(LEADER_NOT_AVAILABLE)),
                leader => self.produce(leader, &partitions, writer, now).await,
            };
            match answered {
                Ok(codes) => open.retain(|open| {
                    let code = codes.iter().find(|(partition, _)| Some(*partition) == open.partition);
                    match code.map(|(_, code)| *code) {
                        None => true,
                        Some(0) => false,
                        Some(code) => {
                            let error = refused(code);
                            let stays = error.may_pass();
                            match stays {
                                true => failed = Some(error),
                                false => results[open.place] = Err(error),
                            }
                            stays
                        }
                    }
                }),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error),
            // A broker that leaves a partition out of its answer.
            None if !open.is_empty() => Err(refused(-1)),
            None => {
                self.leaders = Some(leaders);
                Ok(())
            }
        }
    }

    /// Partitions with their error codes.
    async fn produce(
        &mut self,
        leader: i32,
        partitions: &BTreeMap<usize, Vec<&Record>>,
        writer: &TopicWriter,
        now: i64,
    ) -> Result<Vec<(usize, i16)>, KafkaError> {
        // It comes back only if all went well.
        let mut connection = match (self.connections.remove(&leader), self.brokers.get(&leader)) {
            (Some(connection), _) => connection,
            (None, Some(address)) => Connection::open(address, &writer.settings).await?,
            (None, None) => {
                return Err(KafkaError::Refused { topic: writer.topic.clone(), code: LEADER_NOT_AVAILABLE });
            }
        };
        let limit = i32::try_from(writer.settings.timeout.as_millis()).unwrap_or(i32::MAX);
        // No transaction; one topic.
        let mut request = Fields::default().no_text().i16(ACKS).i32(limit).count(1).text(&writer.topic);
        request = request.count(partitions.len());
        for (partition, records) in partitions {
            let records = records.iter().map(|record| (&*record.key, &*record.value));
            request = request.count(*partition).bytes(&batch(records, now / 1_000_000));
        }
        let answer = connection.call(PRODUCE, request).await?;
        let codes = produced(&answer).map_err(KafkaError::cut_short(connection.address()))?;
        self.connections.insert(leader, connection);
        Ok(codes)
    }

    /// Asks a broker that is connected, or else those of the configuration and then those that were known, for the
    /// partitions of the topic.
    async fn ask_for_leaders(&mut self, writer: &TopicWriter) -> Result<Vec<i32>, KafkaError> {
        let mut failed = Vec::new();
        while let Some((_, mut connection)) = self.connections.pop_first() {
            if let Ok(answer) = connection.call(METADATA, metadata_request(&writer.topic)).await {
                return self.learn(&answer, connection, writer);
            }
        }
        let known = self.brokers.values().filter(|address| !writer.settings.brokers.contains(address));
        let addresses: Vec<String> = writer.settings.brokers.iter().chain(known).cloned().collect();
        for address in addresses {
            let asked = async {
                let mut connection = Connection::open(&address, &writer.settings).await?;
                let answer = connection.call(METADATA, metadata_request(&writer.topic)).await?;
                Ok((connection, answer))
            };
            match asked.await {
                Ok((connection, answer)) => return self.learn(&answer, connection, writer),
                Err(error) => failed.push(error),
            }
        }
        Err(KafkaError::NoBroker(failed))
    }

    /// Takes over what a broker says, and the connection to it.
    fn learn(&mut self, answer: &[u8], connection: Connection, writer: &TopicWriter) -> Result<Vec<i32>, KafkaError> {
        let metadata = Metadata::read(answer).map_err(KafkaError::cut_short(connection.address()))?;
        let address = connection.address();
        let number = metadata.brokers.iter().find(|(_, known)| *known == address).map(|(number, _)| *number);
        if let Some(number) = number {
            self.connections.insert(number, connection);
        }
        // A broker that has moved, or gone.
        self.connections.retain(|number, connection| {
            metadata.brokers.get(number).is_some_and(|known| known == connection.address())
        });
        self.brokers = metadata.brokers;
        match metadata.topic {
            (0, leaders) if leaders.is_empty() => {
                Err(KafkaError::Refused { topic: writer.topic.clone(), code: LEADER_NOT_AVAILABLE })
            }
            (0, leaders) => Ok(leaders),
            (code, _) => Err(KafkaError::Refused { topic: writer.topic.clone(), code }),
        }
    }
}

/// Asks for one topic, which the broker may make if its configuration says so.
fn metadata_request(topic: &str) -> Fields {
    Fields::default().count(1).text(topic).i8(1)
}

struct Metadata {
    brokers: BTreeMap<i32, String>,
    /// Error code of the topic, and the leader of each of its partitions.
    topic: (i16, Vec<i32>),
}

impl Metadata {
    fn read(answer: &[u8]) -> Result<Metadata, CutShort> {
        let mut answer = Answer(answer);
        // How long to hold back.
        answer.i32()?;
        let brokers = answer.list(|broker| {
            let (number, host, port, _rack) = (broker.i32()?, broker.text()?, broker.i32()?, broker.text()?);
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            Ok((number, format!("{host}:{port}")))
        })?;
        // Its id and its controller.
        let _cluster = (answer.text()?, answer.i32()?);
        let topics = answer.list(|topic| {
            let (code, _name, _internal) = (topic.i16()?, topic.text()?, topic.i8()?);
            let partitions = topic.list(|partition| {
                let (_code, index, leader) = (partition.i16()?, partition.i32()?, partition.i32()?);
                // All of them, and those in sync.
                let _replicas = (partition.list(Answer::i32)?, partition.list(Answer::i32)?);
                Ok((index, leader))
            })?;
            Ok((code, partitions))
        })?;
        let (code, partitions) = topics.into_iter().next().ok_or(CutShort)?;
        let mut leaders = vec![-1; partitions.len()];
        for (index, leader) in partitions {
            if let Some(place) = usize::try_from(index).ok().and_then(|index| leaders.get_mut(index)) {
                *place = leader;
            }
        }
        Ok(Metadata { brokers: brokers.into_iter().collect(), topic: (code, leaders) })
    }
}

/// Partitions and their error codes in the answer to a Produce.
fn produced(answer: &[u8]) -> Result<Vec<(usize, i16)>, CutShort> {
    let topics = Answer(answer).list(|topic| {
        topic.text()?;
        topic.list(|partition| {
            let (index, code, _offset, _time) =
                (partition.i32()?, partition.i16()?, partition.i64()?, partition.i64()?);
            Ok((usize::try_from(index).unwrap_or(usize::MAX), code))
        })
    })?;
    Ok(topics.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// Whatever comes is an answer or cut short.
        #[test]
        fn no_answer_ends_the_process(answer: Vec<u8>) {
            let _ = (Metadata::read(&answer).is_ok(), produced(&answer).is_ok());
        }
    }

    #[test]
    fn large_records_go_alone() {
        let record = |length| Record { key: vec![], value: vec![0; length], partitioner: Partitioner::Crc32 };
        let (one, most, more) = (record(1), record(REQUEST_BYTES_MAX - 1), record(REQUEST_BYTES_MAX + 1));
        assert_eq!(request_length(&[&more, &one]), 1);
        assert_eq!(request_length(&[&most, &one, &one]), 2);
    }
}
