//! A server without work.

use std::{thread, time::Duration};

use farad_tests::{
    process::cpu_time,
    server::{COUNTING, Server, until},
};

#[test]
fn an_idle_server_takes_less_than_a_hundredth_of_a_core() {
    let server = Server::start(4, &[]).unwrap();
    for task in 0..20 {
        assert_eq!(server.define(&format!("t{task}"), COUNTING).unwrap(), 200);
    }
    assert_eq!(server.write("d", "r", "cpu,host=a v=1\n").unwrap().status, 204);
    assert!(until(Duration::from_secs(5), || server.highest_count("t19") == 1));
    let processes = [server.control_pid(), server.dataplane_pid().unwrap()];
    let taken = || processes.iter().map(|pid| cpu_time(*pid)).sum::<Duration>();
    let watched = Duration::from_secs(3);
    let spend = || {
        let before = taken();
        thread::sleep(watched);
        taken() - before
    };
    // What the start leaves to do may fall into the first time.
    let spent = [spend(), spend()];
    assert!(spent.iter().any(|spent| *spent < watched / 100), "{spent:?} of CPU in {watched:?}");
}
