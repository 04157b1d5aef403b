"""Facts become findings: pure rules over a saved observation, no clock, no file, no socket."""

from smtpcheck.judge.judge import judge
from smtpcheck.judge.profile import Profile

__all__ = ["Profile", "judge"]
