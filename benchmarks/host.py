"""`smtpcheck host` on three ports of a real Postfix, beside three swaks runs and one sslyze run.

The three take turns, so that a busy machine is busy for all; each figure is wall-clock time of
whole processes. swaks goes as far as EHLO inside TLS; sslyze is asked for what is compared, the
certificate and TLS 1.0 to 1.3. sslyze (AGPL) lives in a throwaway environment of its own.

    python -m benchmarks.host [--rounds N]          root, for Postfix; swaks installed
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from benchmarks.server import PORTS, serving
from tests.conftest import need
from tests.real.rig import NAME

ADDRESS = "127.0.0.8"
SSLYZE = "sslyze==6.3.1"
VERSIONS = ("--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--certinfo")

Commands = list[list[str]]


def main() -> int:
    """Print a table; 1 unless we were faster than the sum of the others."""
    options = argparse.ArgumentParser(prog="benchmarks.host")
    options.add_argument("--rounds", type=int, default=7)
    rounds = options.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = _sslyze(folder / "sslyze")
        with serving(ADDRESS, folder) as ca_file:
            contenders = {
                "smtpcheck host": _smtpcheck(ca_file),
                "swaks, three times": [_swaks(port) for port in PORTS],
                "sslyze": [_sslyze_run(python)],
            }
            taken: dict[str, list[float]] = {title: [] for title in contenders}
            for number in range(rounds + 1):
                for title, commands in contenders.items():
                    took = sum(_timed(command) for command in commands)
                    if number:  # the first warms the caches
                        taken[title].append(took)
    return _told(taken)


def _told(taken: dict[str, list[float]]) -> int:
    for title, times in taken.items():
        spread = f"{min(times):.2f} to {max(times):.2f}"
        print(f"{title:20}{statistics.median(times):7.2f} s   {spread}   {len(times)} rounds")
    ours, *others = (statistics.median(times) for times in taken.values())
    print(f"{'ratio':20}{ours / sum(others):7.2f}     ours to the sum of the others; wanted: < 1")
    return int(ours >= sum(others))


def _smtpcheck(ca_file: Path) -> Commands:
    fixed = ("--name", NAME, "--ca-file", str(ca_file), "--ehlo", "bench.test")
    return [[sys.executable, "-m", "smtpcheck", "host", ADDRESS, *fixed]]


def _swaks(port: int) -> list[str]:
    tls = "--tls-on-connect" if port == 465 else "--tls"
    return [
        need("swaks"), "--server", ADDRESS, "--port", str(port), tls, "--quit-after", "EHLO",
        "--helo", "bench.test",
    ]  # fmt: skip


def _sslyze_run(python: Path) -> list[str]:
    targets = [f"{ADDRESS}:{port}" for port in PORTS]
    return [str(python), "-m", "sslyze", "--starttls", "auto", "--sni", NAME, *VERSIONS, *targets]


def _sslyze(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, SSLYZE], check=True, stderr=subprocess.DEVNULL)  # noqa: S603
    return python


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)  # noqa: S603
    took = time.perf_counter() - began
    if done.returncode not in (0, 1):  # sslyze ends with 1 where Mozilla's profile isn't met
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return took


if __name__ == "__main__":
    sys.exit(main())
