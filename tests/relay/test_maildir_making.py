"""A mailbox whose making was cut short by a crash is made whole by the next delivery."""

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from smtpcheck.facts.delivery import Outcome
from smtpcheck.relay.maildir import deliver


class Killed(BaseException):
    """Where the process would be gone; a call that fails for want of a parent counts, too."""


@pytest.mark.parametrize("survived", range(12))
def test_making_a_mailbox_dies_after_any_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    mkdir, made = os.mkdir, iter(range(survived))

    def mortal(*given: Any, **named: Any) -> None:
        if next(made, None) is None:
            raise Killed
        mkdir(*given, **named)

    def once() -> Outcome:
        return deliver(
            tmp_path / "mail" / "d.test" / "user",
            b"x\r\n",
            message_id="M",
            received=datetime.now(UTC),
            reverse_path="",
            forward_path="user@d.test",
        ).outcome

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", mortal)
        with suppress(Killed):
            once()
    assert once() is Outcome.DELIVERED
