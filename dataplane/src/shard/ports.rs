//! The UDP ports of a shard.

use std::{os::fd::OwnedFd, rc::Rc, sync::Arc};

use super::{
    inputs::{Input, Port},
    limits::PORTS_MAX,
    thread::Shard,
};
use crate::reactor::{Datagrams, Reactor, Token};

#[derive(Default)]
pub struct Ports {
    ports: Vec<Port>,
    /// By port: it may have something to read.
    readable: Vec<bool>,
    /// By port: its datagrams wait for room in the rings.
    waiting: Vec<bool>,
    /// Made with the first port.
    datagrams: Option<Datagrams>,
}

impl Ports {
    pub fn open(&mut self, reactor: &mut Reactor, socket: OwnedFd, input: Arc<Input>) {
        let socket = Rc::new(socket);
        // Tokens below those of connections.
        let token = self.ports.len() as Token;
        let opened = match &self.datagrams {
            _ if token >= PORTS_MAX => Err(std::io::Error::other("there are too many")),
            Some(_) => Ok(()),
            None => Datagrams::new().map(|datagrams| self.datagrams = Some(datagrams)),
        };
        if let Err(error) = opened.and_then(|()| reactor.watch(token, socket.clone())) {
            tracing::error!(service = "udp", %error, "a shard cannot take a UDP port");
            return;
        }
        self.ports.push(Port::new(socket, input));
        // It may hold datagrams that came before it was watched.
        self.readable.push(true);
        self.waiting.push(false);
    }

    pub fn readable(&mut self, token: Token) {
        if let Some(readable) = self.readable.get_mut(token as usize) {
            *readable = true;
        }
    }

    pub fn has_work(&self) -> bool {
        self.readable.iter().zip(&self.waiting).any(|(readable, waiting)| *readable && !waiting)
    }

    /// Reads a batch of each port that has something.
    pub fn turn(&mut self, shard: &mut Shard, now: i64) {
        let Some(datagrams) = &mut self.datagrams else { return };
        for ((port, readable), waiting) in self.ports.iter_mut().zip(&mut self.readable).zip(&mut self.waiting) {
            *waiting = port.waits(shard);
            if *readable && !*waiting {
                *readable = port.read(shard, datagrams, now);
                *waiting = port.waits(shard);
            }
        }
    }

    /// Nothing more is read.
    pub fn close(&mut self, reactor: &mut Reactor) {
        for port in 0..self.ports.len() {
            reactor.remove(port as Token);
        }
        self.ports.clear();
        self.readable.clear();
        self.waiting.clear();
    }
}
