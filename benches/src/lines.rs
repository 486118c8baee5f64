//! Lines of the line protocol, of known lengths, the same in every run.

use std::io::Write;

/// Time of the first pass, ns since 1970: a whole number of any window used here, and 19 digits like all that follow.
pub const BASE_TIME: i64 = 1_700_000_000 * SECOND;

pub const SECOND: i64 = 1_000_000_000;

/// Values of the tag `dc`.
pub const DATA_CENTRES: usize = 12;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// 65 bytes: two tags, one field.
    Small,
    /// 166 bytes: three tags, nine float fields.
    Telegraf,
    /// 352 bytes: ten tags, ten float fields.
    Wide,
    /// In turn cpu, mem, disk and net of one host; one line in twelve has a string field.
    Mixed,
}

/// Which line it is.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Below `of`.
    pub series: usize,
    /// Number of series.
    pub of: usize,
    /// Varies the values.
    pub pass: usize,
    /// ns since 1970.
    pub time: i64,
    /// `usage_idle` is below 1.
    pub firing: bool,
}

impl Shape {
    /// Appends a line with its newline. The time is its last 19 characters before the newline.
    pub fn write(self, line: Line, out: &mut Vec<u8>) {
        let Line { series, of, pass, .. } = line;
        // Neighbours share a data centre, as they share an agent and with it a connection.
        let dc = series * DATA_CENTRES / of.max(1);
        let noise = mix((series as u64) << 32 | pass as u64);
        let digits = |shift: u32, below: u64| (noise >> shift) % below;
        let idle = if line.firing { digits(0, 100) } else { 2_000 + digits(0, 8_000) };
        let idle = format!("{:02}.{:02}", idle / 100, idle % 100);
        let (user, system, nice) = (digits(8, 1_000), digits(16, 1_000), digits(24, 1_000));
        let (wait, steal, guest) = (digits(32, 10), digits(40, 10), digits(48, 10));
        let hundredths = |value: u64| format!("{}.{:02}", value / 100, value % 100);
        // Writing to a vector cannot fail.
        let _ = match self {
            Shape::Small => write!(out, "cpu,dc={dc:02},host=host-{series:07} usage_idle={idle}"),
            Shape::Telegraf => write!(
                out,
                "cpu,cpu=cpu-total,dc=dc-{dc:02},host=host-{series:07} usage_idle={idle},user={},system={},nice={},\
                 iowait=0.{wait},irq=0.02,softirq=0.1,steal=0.{steal},guest=0.{guest}",
                hundredths(user),
                hundredths(system),
                hundredths(nice),
            ),
            Shape::Wide => write!(
                out,
                "cpu,arch=x86_64,cpu=cpu-total,dc=dc-{dc:02},env=production,host=host-{series:07},os=ubuntu-22.04,\
                 rack=rack-{:03},region=eu-central-1,service=checkout-api,team=platform-eu1 usage_idle={idle},\
                 usage_user={},usage_system={},usage_nice={},usage_iowait=0.{wait}12,usage_irq=0.0213,\
                 usage_softirq=0.113,usage_steal=0.{steal}12,usage_guest=0.{guest}14,load1=1.731",
                series % 1_000,
                hundredths(user),
                hundredths(system),
                hundredths(nice),
            ),
            Shape::Mixed => {
                let host = series / 4;
                let tags = format_args!("dc=dc-{dc:02},host=host-{host:07}").to_string();
                let written = match series % 4 {
                    0 => write!(
                        out,
                        "cpu,cpu=cpu-total,{tags} usage_idle={idle},user={},system={},iowait=0.{wait},steal=0.{steal}",
                        hundredths(user),
                        hundredths(system),
                    ),
                    1 => write!(
                        out,
                        "mem,{tags} active={}i,available={}i,total=16777216000i,used_percent={}",
                        8_000_000_000 + user * 4_096,
                        8_000_000_000 - system * 4_096,
                        hundredths(2_000 + nice),
                    ),
                    2 => write!(
                        out,
                        "disk,device=nvme0n1p2,{tags},fstype=ext4,path=/var/lib free={}i,inodes_free={}i,used_percent={}",
                        400_000_000_000 + user,
                        30_000_000 - system,
                        hundredths(5_000 + nice),
                    ),
                    _ => write!(
                        out,
                        "net,{tags},interface=eth0 bytes_recv={}i,bytes_sent={}i,err_in=0i,packets_recv={}i,speed=1e3",
                        90_000_000_000 + pass as u64 * 1_500,
                        30_000_000_000 + pass as u64 * 900,
                        70_000_000 + pass as u64,
                    ),
                };
                if series % 12 == 11 {
                    written.and_then(|()| write!(out, ",state=\"up, full \\\"duplex\\\"\""))
                } else {
                    written
                }
            }
        };
        out.push(b' ');
        out.extend_from_slice(&digits_of(line.time));
        out.push(b'\n');
    }

    /// Whether the line of this series is of the measurement `cpu`.
    pub fn is_cpu(self, series: usize) -> bool {
        self != Shape::Mixed || series.is_multiple_of(4)
    }
}

/// The 19 digits of a time between 2001 and 2262.
pub fn digits_of(time: i64) -> [u8; 19] {
    let mut digits = [b'0'; 19];
    let mut rest = time.unsigned_abs();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

/// Spreads a number over all 64 bits.
pub fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(shape: Shape, series: usize, pass: usize, firing: bool) -> String {
        let mut out = Vec::new();
        shape.write(Line { series, of: 1_000_000, pass, time: BASE_TIME, firing }, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lengths_do_not_depend_on_series_or_values() {
        for (series, pass) in [(0, 0), (1, 7), (999, 12_345), (999_999, 3)] {
            for firing in [false, true] {
                assert_eq!(line(Shape::Small, series, pass, firing).len(), 65);
                assert_eq!(line(Shape::Telegraf, series, pass, firing).len(), 166);
                assert_eq!(line(Shape::Wide, series, pass, firing).len(), 352);
            }
        }
    }

    #[test]
    fn a_line_ends_with_its_time() {
        for series in 0..12 {
            assert!(line(Shape::Mixed, series, 1, false).ends_with(" 1700000000000000000\n"));
        }
        assert_eq!(&digits_of(BASE_TIME + 42), b"1700000000000000042");
    }

    #[test]
    fn idle_is_below_one_only_where_it_fires() {
        let idle = |line: &str| -> f64 {
            let value = line.split("usage_idle=").nth(1).unwrap();
            value.split([',', ' ']).next().unwrap().parse().unwrap()
        };
        for series in 0..1_000 {
            assert!(idle(&line(Shape::Telegraf, series, 5, true)) < 1.0);
            assert!(idle(&line(Shape::Telegraf, series, 5, false)) >= 20.0);
        }
    }

    #[test]
    fn mixed_lines_are_four_measurements_and_a_twelfth_has_strings() {
        let lines: Vec<_> = (0..1_200).map(|series| line(Shape::Mixed, series, 0, false)).collect();
        for measurement in ["cpu,", "mem,", "disk,", "net,"] {
            assert_eq!(lines.iter().filter(|line| line.starts_with(measurement)).count(), 300);
        }
        assert_eq!(lines.iter().filter(|line| line.contains('"')).count(), 100);
        assert!((0..1_200).all(|series| Shape::Mixed.is_cpu(series) == lines[series].starts_with("cpu,")));
    }
}
