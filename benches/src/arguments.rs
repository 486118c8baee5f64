//! The arguments of `e2e`.

use std::{net::SocketAddr, time::Duration};

use crate::{BenchError, http::address_of, process::Cores};

pub const HELP: &str = "\
Farad under load.

  e2e [options] [scenario …]     all scenarios, those named, or those whose name contains a given text

  --list              show the scenarios
  --seconds N         measured time of a scenario (5)
  --shards N          shards of the data plane (as many as server cores)
  --server-cores A,B  cores of the server (0)
  --load-cores A,B    cores of the load (1)
  --rival URL         send the same bytes to this server, too: a Kapacitor, or an InfluxDB 1.x (then without tasks)
  --rival-pid PID     its process, for CPU time and memory; it is moved to the server's cores
  --json              one JSON document instead of a table
";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub struct Arguments {
    pub help: bool,
    pub list: bool,
    pub json: bool,
    pub seconds: Duration,
    pub shards: usize,
    pub server_cores: Cores,
    pub load_cores: Cores,
    pub rival: Option<(SocketAddr, u32)>,
    pub names: Vec<String>,
}

impl Arguments {
    pub fn read(given: &[String]) -> Result<Arguments, BenchError> {
        let usage = |message: String| BenchError::Usage(message);
        let mut arguments = Arguments {
            help: false,
            list: false,
            json: false,
            seconds: Duration::from_secs(5),
            shards: 0,
            server_cores: Cores(vec![0]),
            load_cores: Cores(vec![1]),
            rival: None,
            names: Vec::new(),
        };
        let (mut rival, mut rival_pid) = (None, None);
        let mut given = given.iter();
        while let Some(argument) = given.next() {
            let (name, attached) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (argument.as_str(), None),
            };
            let mut value = || {
                attached.clone().or_else(|| given.next().cloned()).ok_or_else(|| usage(format!("{name} wants a value")))
            };
            let wrong = |text: &str| usage(format!("{name} cannot be {text:?}"));
            match name {
                "--help" | "-h" => arguments.help = true,
                "--list" => arguments.list = true,
                "--json" => arguments.json = true,
                "--seconds" => {
                    let text = value()?;
                    let seconds = text.parse().ok().filter(|seconds| (0.1..=3_600.0).contains(seconds));
                    arguments.seconds = Duration::from_secs_f64(seconds.ok_or_else(|| wrong(&text))?);
                }
                "--shards" => {
                    let text = value()?;
                    arguments.shards = text.parse().ok().filter(|shards| *shards > 0).ok_or_else(|| wrong(&text))?;
                }
                "--server-cores" | "--load-cores" => {
                    let text = value()?;
                    let cores = Cores::parse(&text).ok_or_else(|| wrong(&text))?;
                    if name == "--server-cores" {
                        arguments.server_cores = cores;
                    } else {
                        arguments.load_cores = cores;
                    }
                }
                "--rival" => {
                    let text = value()?;
                    rival = Some(address_of(&text).ok_or_else(|| wrong(&text))?);
                }
                "--rival-pid" => {
                    let text = value()?;
                    rival_pid = Some(text.parse().map_err(|_| wrong(&text))?);
                }
                unknown if unknown.starts_with('-') => return Err(usage(format!("{unknown} is not known"))),
                scenario => arguments.names.push(scenario.to_owned()),
            }
        }
        if arguments.shards == 0 {
            arguments.shards = arguments.server_cores.0.len();
        }
        arguments.rival = match (rival, rival_pid) {
            (Some(address), Some(pid)) => Some((address, pid)),
            (None, None) => None,
            _ => return Err(usage("--rival and --rival-pid go together".into())),
        };
        Ok(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Arguments, BenchError> {
        Arguments::read(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn reads_options_and_names() {
        let read =
            read("none --seconds=0.5 --server-cores 0-1,3 wide --rival http://127.0.0.1:9092/ --rival-pid 7").unwrap();
        assert_eq!(read.names, ["none", "wide"]);
        assert_eq!(read.seconds, Duration::from_millis(500));
        assert_eq!((read.shards, read.server_cores), (3, Cores(vec![0, 1, 3])));
        assert_eq!(read.rival, Some(("127.0.0.1:9092".parse().unwrap(), 7)));
    }

    #[test]
    fn refuses_what_it_cannot_mean() {
        for text in ["--seconds", "--seconds 0", "--shards x", "--load-cores a", "--rival http://127.0.0.1:1", "--fast"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
