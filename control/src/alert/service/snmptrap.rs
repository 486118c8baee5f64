//! `snmptrap`: an SNMPv2c trap in one datagram (RFC 3416 §4.2.6; encoded by the basic rules of ITU-T X.690).

use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;

use super::{Datagram, Message, Occasion, Section, Service, ServiceError, occasion::check_templates};

/// sysUpTime.0, whose value is always 1000 as the original's, and snmpTrapOID.0.
const SYS_UP_TIME: &str = "1.3.6.1.2.1.1.3.0";
const SNMP_TRAP_OID: &str = "1.3.6.1.6.3.1.1.4.1.0";

/// Tags of what is encoded.
mod tag {
    pub const INTEGER: u8 = 0x02;
    pub const OCTETS: u8 = 0x04;
    pub const NULL: u8 = 0x05;
    pub const OID: u8 = 0x06;
    pub const SEQUENCE: u8 = 0x30;
    pub const TIME_TICKS: u8 = 0x43;
    pub const COUNTER_64: u8 = 0x46;
    pub const TRAP_V2: u8 = 0xa7;
}

/// The second version, in which communities still are passwords.
const VERSION_2C: i64 = 1;

static REQUESTS: AtomicU32 = AtomicU32::new(1);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SnmpTrap {
    trap_oid: String,
    data_list: Vec<Data>,
}

/// One value of a trap.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    oid: String,
    /// `c`, `i`, `n`, `s` or `t`.
    #[serde(rename = "type")]
    kind: String,
    /// A template.
    value: String,
}

impl Service for SnmpTrap {
    fn check(&self) -> Result<(), String> {
        let oids = std::iter::once(&self.trap_oid).chain(self.data_list.iter().map(|data| &data.oid));
        oids.filter(|text| !text.is_empty()).try_for_each(|text| oid(text).map(drop))?;
        if let Some(data) = self.data_list.iter().find(|data| !["c", "i", "n", "s", "t"].contains(&data.kind.as_str()))
        {
            return Err(format!("invalid data type {:?}, must be one of c, i, n, s, t", data.kind));
        }
        check_templates(self.data_list.iter().map(|data| data.value.as_str()))
    }

    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let mut bindings = Vec::new();
        bindings.extend(binding(SYS_UP_TIME, &element(tag::TIME_TICKS, &unsigned(1_000)))?);
        bindings.extend(binding(SNMP_TRAP_OID, &oid(&self.trap_oid).map_err(ServiceError)?)?);
        for data in &self.data_list {
            bindings.extend(binding(&data.oid, &value(&data.kind, &occasion.render(&data.value)?)?)?);
        }
        let request = REQUESTS.fetch_add(1, Ordering::Relaxed) & 0x7fff_ffff;
        let trap = [
            element(tag::INTEGER, &signed(i64::from(request))),
            element(tag::INTEGER, &signed(0)),
            element(tag::INTEGER, &signed(0)),
            element(tag::SEQUENCE, &bindings),
        ];
        let message = [
            element(tag::INTEGER, &signed(VERSION_2C)),
            element(tag::OCTETS, section.text("community").as_bytes()),
            element(tag::TRAP_V2, &trap.concat()),
        ];
        let tries = u32::try_from(section.integer("retries")).unwrap_or_default().saturating_add(1);
        let address = section.text("addr").to_owned();
        Ok(Message::Datagram(Datagram { address, bytes: element(tag::SEQUENCE, &message.concat()), tries }))
    }
}

fn binding(name: &str, value: &[u8]) -> Result<Vec<u8>, ServiceError> {
    let name = oid(name).map_err(ServiceError)?;
    Ok(element(tag::SEQUENCE, &[&name, value].concat()))
}

fn value(kind: &str, text: &str) -> Result<Vec<u8>, ServiceError> {
    let number = || {
        let parsed: Result<i64, _> = text.trim().parse();
        parsed.map_err(|error| ServiceError(format!("{text:?} is no number of an SNMP trap: {error}")))
    };
    Ok(match kind {
        "c" => element(tag::COUNTER_64, &unsigned(number()? as u64)),
        // Both are of 32 bits.
        "i" => element(tag::INTEGER, &signed(i64::from(number()? as i32))),
        "t" => element(tag::TIME_TICKS, &unsigned(u64::from(number()? as u32))),
        "n" => element(tag::NULL, &[]),
        _ => element(tag::OCTETS, text.as_bytes()),
    })
}

/// An element: its tag, the length of its content, the content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        length @ 0..0x80 => out.push(length as u8),
        length => {
            let bytes = length.to_be_bytes();
            let skip = bytes.iter().take_while(|byte| **byte == 0).count();
            out.push(0x80 | (bytes.len() - skip) as u8);
            out.extend_from_slice(&bytes[skip..]);
        }
    }
    out.extend_from_slice(content);
    out
}

/// As few bytes as hold the number and its sign.
fn signed(x: i64) -> Vec<u8> {
    let bytes = x.to_be_bytes();
    let is_spare = |pair: &[u8]| matches!((pair[0], pair[1] & 0x80), (0, 0) | (0xff, 0x80));
    let spare = bytes.windows(2).take_while(|pair| is_spare(pair)).count();
    bytes[spare..].to_vec()
}

/// As few bytes as hold the number and a zero for its sign.
fn unsigned(x: u64) -> Vec<u8> {
    match i64::try_from(x) {
        Ok(x) => signed(x),
        Err(_) => [&[0], x.to_be_bytes().as_slice()].concat(),
    }
}

/// An object's id, encoded with its tag.
fn oid(text: &str) -> Result<Vec<u8>, String> {
    let invalid = || format!("invalid object id {text:?}: expected numbers such as 1.3.6.1.4.1");
    let arcs = text.trim_start_matches('.').split('.').map(str::parse);
    let arcs: Vec<u32> = arcs.collect::<Result<_, _>>().map_err(|_| invalid())?;
    let [first @ 0..=2, second, rest @ ..] = arcs.as_slice() else { return Err(invalid()) };
    if *first < 2 && *second >= 40 {
        return Err(invalid());
    }
    let mut content = Vec::new();
    for arc in std::iter::once(u64::from(first * 40) + u64::from(*second)).chain(rest.iter().map(|arc| u64::from(*arc)))
    {
        // Seven bits a byte, all but the last one marked.
        let groups = (u64::BITS - arc.leading_zeros()).div_ceil(7).max(1);
        for group in (0..groups).rev() {
            let mark = if group > 0 { 0x80 } else { 0 };
            content.push((arc >> (7 * group)) as u8 & 0x7f | mark);
        }
    }
    Ok(element(tag::OID, &content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ids_are_as_short_as_can_be() {
        assert_eq!((signed(0), signed(127), signed(128)), (vec![0], vec![127], vec![0, 128]));
        assert_eq!((signed(-1), signed(-129)), (vec![0xff], vec![0xff, 0x7f]));
        assert_eq!(unsigned(u64::MAX), [[0].as_slice(), &[0xff; 8]].concat());
        assert_eq!(oid("1.3.6.1.4.1.311").unwrap(), [6, 7, 0x2b, 6, 1, 4, 1, 0x82, 0x37]);
        assert_eq!(oid(".2.999.0").unwrap(), [6, 3, 0x88, 0x37, 0]);
        for wrong in ["", "1", "x.1", "1.40", "3.1", "1..2", "1.4294967296"] {
            assert!(oid(wrong).is_err(), "{wrong}");
        }
        assert_eq!(element(4, &[7; 200])[..4], [4, 0x81, 200, 7]);
    }
}
