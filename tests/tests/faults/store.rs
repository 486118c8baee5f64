//! A store that is damaged.

use std::{fs, time::Duration};

use farad_tests::{
    process::signal,
    server::{COUNTING, Server, until},
};

/// Of an LMDB file.
const PAGE: usize = 4_096;

#[test]
fn a_damaged_store_is_named_and_what_runs_goes_on() {
    let mut server = Server::start(1, &[]).unwrap();
    assert_eq!(server.define("t", COUNTING).unwrap(), 200);
    signal(server.control_pid(), "KILL");
    server.wait(Duration::from_secs(10)).unwrap();
    let file = server.data.path().join("farad.store/data.mdb");
    let whole = fs::read(&file).unwrap();
    assert!(whole.len() > 4 * PAGE);
    let mut noise = whole.clone();
    for (at, byte) in noise.iter_mut().enumerate().skip(2 * PAGE) {
        *byte = (at as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3];
    }
    for (number, damaged) in [&whole[..3 * PAGE], &noise, b"no store"].into_iter().enumerate() {
        fs::write(&file, damaged).unwrap();
        let before = server.log().len();
        server.restart_control().unwrap();
        let ended = server.wait(Duration::from_secs(20)).unwrap();
        assert!(ended.is_some_and(|status| status.code() == Some(3)), "{number}: {ended:?}\n{}", server.log());
        assert!(server.log()[before..].contains("open server: "), "{number}\n{}", server.log());
        let line = format!("cpu,host=a v=1 {number}\n");
        assert_eq!(server.write("d", "r", &line).unwrap().status, 204);
    }
    fs::write(&file, &whole).unwrap();
    server.restart_control().unwrap();
    server.wait_until_up(Duration::from_secs(20)).unwrap();
    assert!(until(Duration::from_secs(5), || server.highest_count("t") == 3), "{}", server.log());
}
