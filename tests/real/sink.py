"""smtp-sink: a next hop that refuses, hangs up or dawdles wherever its switches say."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import need, need_root
from tests.real.rig import daemon, open_directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """A running one."""

    dumps: Path

    def taken(self) -> list[str]:
        """The recipients of each message that it took, as `one@a.test two@a.test`."""
        found = []
        for path in sorted(self.dumps.iterdir()):
            lines = path.read_text().splitlines()
            words = [each.split() for each in lines if each.startswith("X-Rcpt-Args:")]
            found.append(" ".join(each[1].removeprefix("TO:").strip("<>") for each in words))
        return found


@contextlib.contextmanager
def sink(address: str, *switches: str, port: int = 25) -> Iterator[Sink]:
    """Run one on `address`."""
    need_root()
    with open_directory() as directory:
        dumps = directory / "dumps"
        dumps.mkdir()
        shutil.chown(dumps, "nobody")
        command = [need("smtp-sink"), "-u", "nobody", "-d", f"{dumps}/", *switches]
        with daemon([*command, f"{address}:{port}", "100"], (address, port)):
            yield Sink(dumps=dumps)
