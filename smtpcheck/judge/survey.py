"""The whole run, sorted by port: what rules about more than one port are shown."""

from collections.abc import Iterator
from dataclasses import dataclass

from smtpcheck.facts.host import MailHost
from smtpcheck.facts.observation import Observation
from smtpcheck.facts.step import Probe, Step
from smtpcheck.judge.case import Case
from smtpcheck.judge.report import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The whole run: for what is not about one port."""

    observation: Observation
    cases: tuple[Case, ...]
    controls: tuple[Step, ...]

    @property
    def subject(self) -> Subject:
        """What findings about the whole run are about."""
        return Subject(host=self.observation.target.host)

    def index(self, step: Step) -> int:
        """Where in the observation `step` is."""
        steps = self.observation.steps
        return next((index for index, other in enumerate(steps) if other is step), -1)


def survey(observation: Observation) -> Survey:
    """The observation, sorted by port, in the order in which they first appear."""
    dialogues = tuple(s for s in observation.steps if s.probe is Probe.DIALOGUE)
    controls = tuple(s for s in observation.steps if s.probe is Probe.CONTROL)
    cases = tuple(
        Case(
            observation=observation,
            host=_host(steps),
            steps=steps,
            dialogues=dialogues,
            controls=controls,
        )
        for steps in _by_port(observation)
    )
    return Survey(observation=observation, cases=cases, controls=controls)


def _host(steps: tuple[tuple[int, Step], ...]) -> MailHost:
    """As the dialogue has it: asking for TLS first changes what is expected of the port."""
    hosts = [step.host for _, step in steps if step.probe is Probe.DIALOGUE]
    return (hosts or [steps[0][1].host])[0]


def _by_port(observation: Observation) -> Iterator[tuple[tuple[int, Step], ...]]:
    ports: dict[tuple[str, str, int], list[tuple[int, Step]]] = {}
    for index, step in enumerate(observation.steps):
        if step.probe is not Probe.CONTROL:
            key = (step.host.name, step.host.address, step.host.port)
            ports.setdefault(key, []).append((index, step))
    return (tuple(steps) for steps in ports.values())
