//! Many datagrams with one system call.
//!
//! `recvmmsg` takes up to [`BATCH`] messages at once, and with `UDP_GRO` the kernel joins datagrams of one sender and one
//! size into one message before that. Both together cost a tenth of one call a datagram; io_uring has nothing to add.
#![allow(unsafe_code, reason = "recvmmsg has no safe wrapper: it takes pointers to memory that must outlive the call")]

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    ptr,
};

use super::pages::Pages;

/// Messages of one call.
const BATCH: usize = 16;

/// Largest message, joined or not.
const MESSAGE_BYTES: usize = 64 << 10;

/// Room for the size of joined datagrams and the count of lost ones.
const CONTROL_BYTES: usize = 64;

/// Where one thread receives datagrams.
pub struct Datagrams {
    memory: Pages,
}

/// What one call received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    pub messages: usize,
    /// Datagrams that the kernel has dropped since the socket was opened, because its buffer was full.
    pub lost: Option<u32>,
}

impl Received {
    /// Whether the socket may hold more.
    pub fn is_full(&self) -> bool {
        self.messages == BATCH
    }
}

/// Lets the kernel join datagrams and count lost ones. Kernels that cannot join deliver them one by one.
pub fn set_up(socket: &OwnedFd) {
    let one: libc::c_int = 1;
    for (level, option) in [(libc::SOL_UDP, libc::UDP_GRO), (libc::SOL_SOCKET, libc::SO_RXQ_OVFL)] {
        // SAFETY: the value lives through the call and its length is given.
        let _ = unsafe {
            let value = ptr::from_ref(&one).cast();
            libc::setsockopt(socket.as_raw_fd(), level, option, value, size_of_val(&one) as libc::socklen_t)
        };
    }
}

impl Datagrams {
    pub fn new() -> io::Result<Datagrams> {
        Ok(Datagrams { memory: Pages::new((BATCH * (MESSAGE_BYTES + CONTROL_BYTES)).next_multiple_of(4 << 10))? })
    }

    /// Receives what is there, [`BATCH`] messages at most, and calls `visit` with each datagram in order of arrival.
    pub fn receive(&mut self, socket: &OwnedFd, mut visit: impl FnMut(&[u8])) -> io::Result<Received> {
        let start = self.memory.get_mut().as_mut_ptr();
        let mut parts = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: all zeroes are a valid, empty message header.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for (index, (header, part)) in headers.iter_mut().zip(&mut parts).enumerate() {
            // SAFETY: message buffers stand one after the other in `memory`, the control buffers behind them.
            let (message, control) =
                unsafe { (start.add(index * MESSAGE_BYTES), start.add(BATCH * MESSAGE_BYTES + index * CONTROL_BYTES)) };
            *part = libc::iovec { iov_base: message.cast(), iov_len: MESSAGE_BYTES };
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.cast();
            header.msg_hdr.msg_controllen = CONTROL_BYTES;
        }
        // SAFETY: headers, parts and buffers live through the call and are used by nothing else meanwhile.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            let nothing = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
            return if nothing { Ok(Received::default()) } else { Err(error) };
        };
        let mut received = Received { messages: count, lost: None };
        for (index, header) in headers.iter().take(count).enumerate() {
            let (joined, lost) = control(&header.msg_hdr);
            received.lost = lost.or(received.lost);
            let start = index * MESSAGE_BYTES;
            let message = self.memory.get(start..start + (header.msg_len as usize).min(MESSAGE_BYTES));
            match joined {
                Some(bytes @ 1..) => message.chunks(bytes).for_each(&mut visit),
                _ => visit(message),
            }
        }
        Ok(received)
    }
}

/// Size of the joined datagrams, if they are; count of lost ones, if the kernel tells it.
fn control(header: &libc::msghdr) -> (Option<usize>, Option<u32>) {
    let (mut joined, mut lost) = (None, None);
    // SAFETY: the kernel has filled the header's control buffer; these walk it within its length.
    let mut at = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !at.is_null() {
        // SAFETY: `at` points to a whole control message inside the buffer; its data may be unaligned.
        unsafe {
            match ((*at).cmsg_level, (*at).cmsg_type) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let bytes = ptr::read_unaligned(libc::CMSG_DATA(at).cast::<libc::c_int>());
                    joined = usize::try_from(bytes).ok();
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    lost = Some(ptr::read_unaligned(libc::CMSG_DATA(at).cast::<u32>()));
                }
                _ => {}
            }
            at = libc::CMSG_NXTHDR(header, at);
        }
    }
    (joined, lost)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn each_datagram_comes_by_itself_joined_or_not() {
        let receiver = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let sender = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let socket = receiver.into();
        set_up(&socket);
        let mut datagrams = Datagrams::new().unwrap();
        assert_eq!(datagrams.receive(&socket, |_| panic!("nothing was sent")).unwrap(), Received::default());
        // Segmentation on the sender's side is what makes the kernel join on the other.
        // SAFETY: the value lives through the call and its length is given.
        unsafe {
            let segment: libc::c_int = 10;
            let value = ptr::from_ref(&segment).cast();
            libc::setsockopt(sender.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, value, 4);
        }
        sender.send(b"m v=000001m v=000002m v=3").unwrap();
        sender.send(&[]).unwrap();
        sender.send(b"m v=4").unwrap();
        let mut seen = Vec::new();
        while seen.len() < 4 + 1 {
            datagrams.receive(&socket, |datagram| seen.push(datagram.to_vec())).unwrap();
        }
        assert_eq!(seen, [&b"m v=000001"[..], b"m v=000002", b"m v=3", b"", b"m v=4"]);
    }

    #[test]
    fn a_full_batch_says_so_and_lost_datagrams_are_counted() {
        let receiver = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let address = receiver.local_addr().unwrap();
        let socket = receiver.into();
        set_up(&socket);
        let sender = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        for _ in 0..2_000 {
            sender.send_to(&[b'x'; 1_400], address).unwrap();
        }
        let (mut datagrams, mut count, mut lost) = (Datagrams::new().unwrap(), 0, 0);
        let first = datagrams.receive(&socket, |_| count += 1).unwrap();
        assert!(first.is_full());
        loop {
            let received = datagrams.receive(&socket, |_| count += 1).unwrap();
            if received.messages == 0 {
                // The count comes with the next datagram.
                sender.send_to(b"y", address).unwrap();
                lost = datagrams.receive(&socket, |_| ()).unwrap().lost.unwrap_or(lost);
                break;
            }
        }
        assert_eq!(count + lost as usize, 2_000);
    }
}
