"""`smtpcheck host` over a path with 100 ms of round trip: how close to the shortest time it comes.

In a network namespace of its own, a mirror behind a TUN device swaps source and destination of
each packet and gives it back 50 ms later: who connects to 10.9.0.2 reaches the Postfix on
10.9.0.1, and everything is late, SYN and FIN included. (`tc netem` would do it, where the kernel
has it.) Times are read off the packets, from the first SYN to the last FIN.

    python -m benchmarks.latency [--rounds N]       root, for the namespace and Postfix
"""

import argparse
import fcntl
import heapq
import os
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.server import serving
from tests.conftest import need
from tests.real.rig import NAME

ROUND_TRIP = 0.100
OURS, THEIRS = "10.9.0.1", "10.9.0.2"
WANTED = {15: 1.3, 5: 2.5}
"""Connections at once, and how many times the longest single dialogue it may take."""

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
SYN, FIN, RST = 2, 1, 4


class Mirror(threading.Thread):
    """Gives every packet back to where it came from, late, and notes when flows begin and end."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._device = os.open("/dev/net/tun", os.O_RDWR)
        request = struct.pack("16sH22x", b"mirror", IFF_TUN | IFF_NO_PI)
        fcntl.ioctl(self._device, TUNSETIFF, request)
        self._late: list[tuple[float, int, bytes]] = []
        self._number = 0
        self.flows: dict[tuple[int, int], list[float]] = {}

    def run(self) -> None:
        while True:
            now = time.monotonic()
            while self._late and self._late[0][0] <= now:
                os.write(self._device, heapq.heappop(self._late)[2])
            wait = self._late[0][0] - now if self._late else None
            if select.select([self._device], [], [], wait)[0]:
                self._take(os.read(self._device, 65536))

    def _take(self, packet: bytes) -> None:
        if packet[0] >> 4 != 4:
            return
        now = time.monotonic()
        if packet[9] == 6:
            self._note(packet[(packet[0] & 15) * 4 :], now)
        back = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]  # same checksum
        self._number += 1
        heapq.heappush(self._late, (now + ROUND_TRIP / 2, self._number, back))

    def _note(self, segment: bytes, now: float) -> None:
        """A client's SYN opens a flow; its first FIN or RST is when it lets go."""
        source, destination = struct.unpack("!HH", segment[:4])
        flags = segment[13]
        if flags & SYN and destination < 1024:
            self.flows[source, destination] = [now, now]
        elif flags & (FIN | RST) and (flow := self.flows.get((source, destination))):
            flow[1] = now if flow[1] == flow[0] else flow[1]


@dataclass(frozen=True, slots=True)
class Taken:
    """One run, in seconds: all of it, and its longest connection; and how many there were."""

    whole: float
    longest: float
    connections: int

    @property
    def trips(self) -> int:
        """Round trips of the longest dialogue, which is the measure: what we compute is on top."""
        return int(self.longest / ROUND_TRIP)


def main() -> int:
    """Print a table; 1 unless each row is within what is wanted."""
    options = argparse.ArgumentParser(prog="benchmarks.latency")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if not asked.inside:
        again = [sys.executable, "-m", "benchmarks.latency", "--inside", f"--rounds={asked.rounds}"]
        return subprocess.run([need("unshare"), "--net", *again], check=False).returncode  # noqa: S603
    with tempfile.TemporaryDirectory() as folder:
        mirror = Mirror()
        _network()
        mirror.start()
        with serving(OURS, Path(folder)) as ca_file:
            return max([_row(mirror, ca_file, n, asked.rounds) for n in WANTED])


def _network() -> None:
    ip = need("ip")
    for words in ("link set lo up", f"addr add {OURS}/24 dev mirror", "link set mirror up"):
        subprocess.run([ip, *words.split()], check=True)  # noqa: S603


def _row(mirror: Mirror, ca_file: Path, connections: int, rounds: int) -> int:
    runs = [_run(mirror, ca_file, connections) for _ in range(rounds + 1)][1:]
    whole = statistics.median(run.whole for run in runs)
    trips = min(run.trips for run in runs)
    ratio = whole / ROUND_TRIP / trips
    best, worst = min(run.whole for run in runs), max(run.whole for run in runs)
    print(
        f"--connections {connections:2}   {runs[0].connections} connections   "
        f"{whole:.2f} s ({best:.2f} to {worst:.2f})   longest dialogue {trips} round trips, "
        f"{statistics.median(run.longest for run in runs):.2f} s   "
        f"ratio {ratio:.2f}, wanted: <= {WANTED[connections]}",
        flush=True,
    )
    return int(ratio > WANTED[connections])


def _run(mirror: Mirror, ca_file: Path, connections: int) -> Taken:
    mirror.flows.clear()
    command = (
        sys.executable, "-m", "smtpcheck", "host", THEIRS, "--name", NAME, "--ca-file",
        str(ca_file), "--ehlo", "bench.test", "--connections", str(connections), "--fail-on", "warning",  # noqa: E501
    )  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603
    if done.returncode:
        sys.exit(f"{done.returncode}\n{done.stdout}{done.stderr}")
    flows = mirror.flows.values()
    whole = max(end for _, end in flows) - min(begin for begin, _ in flows)
    return Taken(whole, max(end - begin for begin, end in flows), len(flows))


if __name__ == "__main__":
    sys.exit(main())
