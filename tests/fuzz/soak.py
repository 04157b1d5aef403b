"""Fuzzing with atheris: `python -m tests.fuzz.soak [--runs N] [NAME…]`, as `make soak` does.

Law: one process a parser, so that coverage of one does not feed another; a crash, a hang of
five seconds or 512 MB end it with the input in a file. Finds are kept beside the corpus.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.properties import PROPERTIES, SEEDS

ROOMS = ("smtpcheck.wire", "smtpcheck.codec", "smtpcheck.judge", "smtpcheck.render")


def main() -> int:
    """All parsers, or those named; 1 if one of them failed."""
    options = argparse.ArgumentParser(prog="soak")
    options.add_argument("--runs", type=int, default=1_000_000)
    options.add_argument("--corpus", type=Path, default=Path(".soak"))
    options.add_argument("name", nargs="*", default=list(PROPERTIES))
    asked = options.parse_args()
    return max(_process(name, asked.runs, asked.corpus) for name in asked.name)


def _process(name: str, runs: int, corpus: Path) -> int:
    folder = corpus / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (folder / f"seed-{number}").write_bytes(seed)
    began = time.monotonic()
    done = subprocess.run(
        [
            sys.executable, "-c", f"from tests.fuzz import soak; soak.fuzz({name!r})",
            str(folder), f"-runs={runs}", "-max_len=1024", "-timeout=5", "-rss_limit_mb=512",
            f"-artifact_prefix={folder}-", "-verbosity=0", "-print_final_stats=1",
        ],
        stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    took = time.monotonic() - began
    stats = dict(line[6:].split(":") for line in done.stderr.splitlines() if line[:6] == "stat::")
    executed = int(stats.get("number_of_executed_units", "0"))
    outcome = "nothing found" if done.returncode == 0 else f"FAILED\n{done.stderr}"
    print(f"{name:14}{executed:>12,} inputs {took:>7.0f} s  {outcome}", flush=True)
    return int(done.returncode != 0)


def fuzz(name: str) -> None:
    """In a process of its own: instrument, then run what the arguments say."""
    import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

    with atheris.instrument_imports(include=list(ROOMS)):
        _load_anew()
    from tests.fuzz import properties

    atheris.Setup(sys.argv, properties.PROPERTIES[name])
    atheris.Fuzz()


def _load_anew() -> None:
    """Import the rooms again, now instrumented."""
    import importlib

    for module in [each for each in sys.modules if each.startswith(("smtpcheck", "tests.fuzz.p"))]:
        del sys.modules[module]
    importlib.import_module("tests.fuzz.properties")


if __name__ == "__main__":
    sys.exit(main())
