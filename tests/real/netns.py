"""A network of the test's own: loopback and nothing else, with packets that vanish on demand.

`with namespace() as network: network.drop(address, port)`; what is to run in there starts with
the words of `network.within`. Root is not needed where the kernel lets users unshare.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from tests.conftest import need, unavailable

CONTROL = """\
import asyncio, sys
from aiosmtpd.smtp import SMTP
from aiosmtpd.handlers import Sink
async def main():
    factory = lambda: SMTP(Sink(), hostname="control.test", ident="ESMTP")
    server = await asyncio.get_running_loop().create_server(factory, sys.argv[1], 25)
    print("listens", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A running namespace; `within` is the command that enters it."""

    within: tuple[str, ...]

    def drop(self, address: str, port: int) -> None:
        """Let packets to `address` and `port` vanish, as a firewall does."""
        rule = f"-A INPUT -d {address} -p tcp --dport {port} -j DROP"
        subprocess.run([*self.within, need("iptables"), *rule.split()], check=True)

    @contextlib.contextmanager
    def control(self, address: str) -> Iterator[str]:
        """A healthy server on port 25 of `address`; what to give to `--control`."""
        command = [*self.within, sys.executable, "-c", CONTROL, address]
        with _until_ready(command):
            yield f"{address}:25"


@contextlib.contextmanager
def namespace() -> Iterator[Network]:
    """Unshare the network until the block ends."""
    unshare, nsenter, ip = need("unshare"), need("nsenter"), need("ip")
    script = f"{ip} link set lo up && echo up && exec cat"
    root = os.geteuid() == 0
    part = ["--net"] if root else ["--net", "--map-root-user"]
    join = ["--net"] if root else ["--net", "--user", "--preserve-credentials"]
    with _until_ready([unshare, *part, "sh", "-c", script]) as process:
        yield Network(within=(nsenter, "--target", str(process.pid), *join, "--"))


@contextlib.contextmanager
def _until_ready(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command`, begin when it has said a line, end it with the block."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            if not process.stdout.readline():
                unavailable(f"{os.path.basename(command[0])} failed: no network of our own here")
            yield process
        finally:
            process.kill()
