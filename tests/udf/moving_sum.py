#!/usr/bin/env python3
"""A user-defined function: the sum of a field over all points so far, by group; of batches, the sum of each.

It speaks the protocol by hand, so that it needs nothing but Python, and shows all of it: options, snapshots, errors.
Arguments: `stream` or `batch` (what it wants and provides), then `pipes` or the path of a unix socket to serve.
"""

import os
import socket
import struct
import sys


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """A field of a message: bytes and text behind their length, floats in eight bytes, integers as varints."""
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    return varint(number << 3) + varint(int(value))


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def fields(data):
    """Number and value of each field."""
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 0:
            value, at = read_varint(data, at)
            value -= (value >> 63) << 64
        elif key & 7 == 1:
            (value,) = struct.unpack("<d", data[at : at + 8])
            at += 8
        else:
            length, at = read_varint(data, at)
            value = data[at : at + length]
            at += length
        yield key >> 3, value


def first(data, number, default):
    return next((value for found, value in fields(data) if found == number), default)


class Function:
    def __init__(self, edge, read, write):
        self.edge, self.read, self.write = edge, read, write
        self.name, self.sums = b"v", {}

    def send(self, kind, body):
        message = field(kind, body)
        self.write(varint(len(message)) + message)

    def requests(self):
        data = b""
        while True:
            chunk = self.read()
            if not chunk:
                return
            data += chunk
            while data:
                try:
                    length, at = read_varint(data, 0)
                except IndexError:
                    break
                if len(data) < at + length:
                    break
                yield next(fields(data[at : at + length]))
                data = data[at + length :]

    def run(self):
        edge = 1 if self.edge == "batch" else 0
        for kind, body in self.requests():
            if kind == 1:
                option = field(1, "field") + field(2, field(1, b"\x03"))
                self.send(1, field(1, edge) + field(2, edge) + field(3, option))
            elif kind == 2:
                for number, option in fields(body):
                    if number == 1:
                        self.name = first(first(option, 2, b""), 5, b"v")
                if self.name == b"refuse":
                    self.send(2, field(2, "this field is refused"))
                else:
                    self.send(2, field(1, 1))
            elif kind == 3:
                self.send(3, body)
            elif kind == 4:
                state = b"".join(field(1, field(1, group) + field(2, total)) for group, total in self.sums.items())
                self.send(4, field(1, state))
                print("snapshot of", len(self.sums), "groups", file=sys.stderr, flush=True)
            elif kind == 5:
                for _, entry in fields(first(body, 1, b"")):
                    self.sums[first(entry, 1, b"")] = first(entry, 2, 0.0)
                self.send(5, field(1, 1))
            elif kind == 16:
                self.sums.clear()
            elif kind == 17:
                self.point(body)
            elif kind == 18:
                group, tmax = first(body, 2, b""), first(body, 3, 0)
                tags = b"".join(field(7, value) for number, value in fields(body) if number == 4)
                total = field(8, field(1, "sum") + field(2, self.sums.get(group, 0.0)))
                self.send(16, field(1, first(body, 1, b"")))
                self.send(17, field(1, tmax) + tags + total)
                self.send(18, body)

        print("end of input after", len(self.sums), "groups", file=sys.stderr, flush=True)

    def point(self, body):
        value = None
        for number, entry in fields(body):
            if number in (8, 9) and first(entry, 1, b"") == self.name:
                value = float(first(entry, 2, 0))
        if value is None:
            self.send(6, field(1, "point lacks the field " + self.name.decode()))
            return
        group = first(body, 5, b"")
        self.sums[group] = self.sums.get(group, 0.0) + value
        if self.edge == "stream":
            kept = b"".join(field(number, value) for number, value in fields(body) if number not in (8, 9, 10, 12))
            self.send(17, kept + field(8, field(1, "sum") + field(2, self.sums[group])))


def main():
    edge, where = sys.argv[1:3]
    if where == "pipes":
        Function(edge, lambda: os.read(0, 65536), lambda data: sys.stdout.buffer.write(data) and sys.stdout.flush()).run()
        return
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(where)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection:
                Function(edge, lambda: connection.recv(65536), connection.sendall).run()


if __name__ == "__main__":
    main()
