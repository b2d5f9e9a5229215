"""Two listeners on one port: how a worker takes over the port of another without a refused connection."""

import ctypes
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_DESCRIPTORS = Path("/dev/fd")
_ATTACH_PROGRAM = 51  # SO_ATTACH_REUSEPORT_CBPF, of Linux
_RETURN = 0x06  # BPF_RET | BPF_K


def hand_over(port: int) -> None:
    """Lets the next process listen on the port that this one listens on, and the later of two be chosen.

    Both listen for a while; the kernel would then spread the connections over them, and reset those that
    the earlier has not accepted when it closes. On Linux a program of one instruction, `return 1`, picks
    the second listener instead; while there is one alone, that is no listener's number and means nothing.
    https://man7.org/linux/man-pages/man7/socket.7.html (SO_ATTACH_REUSEPORT_CBPF)
    """
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN, 0, 0, 1))
    program = struct.pack("HP", 1, ctypes.addressof(instruction))
    for listener in _listeners(port):
        with listener, suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if sys.platform == "linux":
                # Refused of the first, as long as there is no second.
                listener.setsockopt(socket.SOL_SOCKET, _ATTACH_PROGRAM, program)


def _listeners(port: int) -> Iterator[socket.socket]:
    """The sockets with which this process listens on a port. grpc opened them, and does not give them."""
    for descriptor in [int(entry.name) for entry in _DESCRIPTORS.iterdir()]:
        with suppress(OSError):  # the listing itself had one, which is closed by now
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            found = socket.socket(fileno=os.dup(descriptor))
            if _listens(found, port):
                yield found
            else:
                found.close()


def _listens(found: socket.socket, port: int) -> bool:
    if found.family not in (socket.AF_INET, socket.AF_INET6) or found.type != socket.SOCK_STREAM:
        return False
    return bool(
        found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and found.getsockname()[1] == port
    )
