//! Both back ends do the same.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream, UdpSocket},
    thread,
};

use super::*;

fn reactor(choice: Choice) -> (Reactor, Arc<Wake>) {
    let wake = Arc::new(Wake::new().unwrap());
    (Reactor::new(choice, wake.clone()).unwrap(), wake)
}

fn each_back_end(test: impl Fn(Reactor, Arc<Wake>)) {
    let with = |(reactor, wake)| test(reactor, wake);
    with(reactor(Choice::Epoll));
    match probe() {
        Ok(()) => with(reactor(Choice::Uring)),
        Err(refused) => eprintln!("not tested on io_uring: {refused}"),
    }
}

fn pair() -> (TcpStream, Rc<OwnedFd>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, Rc::new(listener.accept().unwrap().0.into()))
}

/// Events until `done`, received bytes joined by token.
fn events(reactor: &mut Reactor, mut done: impl FnMut(&[Event], &[Vec<u8>]) -> bool) -> (Vec<Event>, Vec<Vec<u8>>) {
    let (mut seen, mut bytes) = (Vec::new(), vec![Vec::new(); 300]);
    for _ in 0..2_000 {
        if done(&seen, &bytes) {
            return (seen, bytes);
        }
        reactor.wait(Some(Duration::from_millis(20))).unwrap();
        while let Some(event) = reactor.next_event() {
            match event {
                Event::Received(token, buffer) => {
                    bytes[token as usize].extend_from_slice(reactor.bytes(&buffer));
                    reactor.give_back(buffer);
                }
                other => seen.push(other),
            }
        }
    }
    panic!("never done: {seen:?}");
}

#[test]
fn bytes_arrive_whole_and_in_order_from_more_sockets_than_there_are_buffers() {
    each_back_end(|mut reactor, _| {
        let mut senders = Vec::new();
        let body: Vec<u8> = (0..400_000_u32).flat_map(|n| (n % 251).to_le_bytes()).take(300_000).collect();
        for token in 0..100 {
            let (mut client, server) = pair();
            reactor.add(token, server).unwrap();
            let body = body.clone();
            senders.push(thread::spawn(move || client.write_all(&body)));
        }
        let (seen, bytes) = events(&mut reactor, |seen, _| seen.len() == 100);
        assert!(seen.iter().all(|event| matches!(event, Event::Ended(_))));
        assert!(bytes[..100].iter().all(|received| *received == body));
        for sender in senders {
            sender.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_paused_socket_receives_later() {
    each_back_end(|mut reactor, _| {
        let (mut client, server) = pair();
        reactor.add(0, server).unwrap();
        client.write_all(b"one").unwrap();
        events(&mut reactor, |_, bytes| bytes[0] == b"one");
        reactor.pause(0);
        // What the kernel had on its way is out after a look.
        reactor.wait(Some(Duration::from_millis(20))).unwrap();
        assert_eq!(reactor.next_event(), None);
        client.write_all(b"two").unwrap();
        reactor.wait(Some(Duration::from_millis(20))).unwrap();
        assert_eq!(reactor.next_event(), None);
        reactor.resume(0);
        events(&mut reactor, |_, bytes| bytes[0] == b"two");
        // Paused and resumed before the kernel has heard of either.
        reactor.pause(0);
        reactor.resume(0);
        client.write_all(b"three").unwrap();
        events(&mut reactor, |_, bytes| bytes[0] == b"three");
    });
}

#[test]
fn a_removed_socket_is_whole_and_its_number_free() {
    each_back_end(|mut reactor, _| {
        for round in 0..3 {
            let (mut client, server) = pair();
            reactor.add(5, server.clone()).unwrap();
            client.write_all(b"head").unwrap();
            events(&mut reactor, |_, bytes| bytes[5] == b"head");
            reactor.remove(5);
            let (seen, _) = events(&mut reactor, |seen, _| !seen.is_empty());
            assert_eq!(seen, [Event::Removed(5)], "round {round}");
            // Nobody else holds the descriptor: it can go to another thread.
            let mut stream = TcpStream::from(Rc::try_unwrap(server).unwrap());
            client.write_all(b"rest").unwrap();
            let mut rest = [0; 4];
            stream.read_exact(&mut rest).unwrap();
            assert_eq!(&rest, b"rest");
        }
    });
}

#[test]
fn a_full_socket_says_when_it_takes_bytes_again() {
    each_back_end(|mut reactor, _| {
        let (mut client, server) = pair();
        reactor.add(0, server.clone()).unwrap();
        let mut sent = 0;
        while let Ok(bytes) = rustix::net::send(&*server, &[7; 65_536], rustix::net::SendFlags::DONTWAIT) {
            sent += bytes;
        }
        reactor.want_write(0);
        let reader = thread::spawn(move || {
            let mut all = vec![0; sent];
            client.read_exact(&mut all).map(|()| client)
        });
        let (seen, _) = events(&mut reactor, |seen, _| !seen.is_empty());
        assert_eq!(seen, [Event::Writable(0)]);
        let client = reader.join().unwrap().unwrap();
        client.shutdown(Shutdown::Both).unwrap();
        let (seen, _) = events(&mut reactor, |seen, _| !seen.is_empty());
        assert_eq!(seen, [Event::Ended(0)]);
        reactor.want_write(0);
        reactor.remove(0);
        events(&mut reactor, |seen, _| seen.last() == Some(&Event::Removed(0)));
    });
}

#[test]
fn a_watched_socket_tells_each_arrival() {
    each_back_end(|mut reactor, _| {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let sender = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let watched: Rc<OwnedFd> = Rc::new(socket.try_clone().unwrap().into());
        reactor.watch(9, watched).unwrap();
        for _ in 0..3 {
            sender.send_to(b"m v=1", address).unwrap();
            let (seen, _) = events(&mut reactor, |seen, _| !seen.is_empty());
            assert_eq!(seen[0], Event::Readable(9));
            while socket.recv(&mut [0; 16]).is_ok() {}
        }
        reactor.remove(9);
        events(&mut reactor, |seen, _| seen.last() == Some(&Event::Removed(9)));
    });
}

#[test]
fn another_thread_wakes_a_sleeper_and_only_a_sleeper() {
    each_back_end(|mut reactor, wake| {
        for _ in 0..3 {
            wake.fall_asleep();
            let waker = wake.clone();
            let other = thread::spawn(move || waker.wake());
            // Without a limit: a lost wake-up hangs the test.
            reactor.wait(None).unwrap();
            wake.stay_awake();
            other.join().unwrap();
            while reactor.next_event().is_some() {}
        }
        wake.wake();
        let begun = std::time::Instant::now();
        reactor.wait(Some(Duration::from_millis(30))).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(25), "nobody slept: nothing to wake");
    });
}

#[test]
fn a_choice_is_spelled_as_its_back_end_is_named() {
    assert_eq!("auto".parse::<Choice>().unwrap(), Choice::Automatic);
    assert_eq!("".parse::<Choice>().unwrap(), Choice::Automatic);
    assert!("kqueue".parse::<Choice>().is_err());
    assert_eq!(reactor("epoll".parse().unwrap()).0.name(), "epoll");
}
