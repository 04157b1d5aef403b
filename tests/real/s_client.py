"""`openssl s_client`: the second opinion on what a rig shows."""

import subprocess
from pathlib import Path

from tests.conftest import need
from tests.real.rig import NAME


def s_client(address: str, port: int, ca_file: Path, *options: str) -> str:
    """What it prints of a server that should be NAME, with STARTTLS unless the port is 465."""
    starttls = () if port == 465 else ("-starttls", "smtp")
    where = ("-connect", f"{address}:{port}", "-servername", NAME)
    verify = ("-CAfile", str(ca_file), "-verify_hostname", NAME)
    done = subprocess.run(
        [need("openssl"), "s_client", *where, *verify, *starttls, *options],
        input="QUIT\r\n",
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.stdout + done.stderr
