"""relay.yaml: read strictly, each fault named by file, line and key.

Law: the tables below are the format. What isn't in them is refused, so that a typing error
can't leave a relay open; a relative path starts at the file's own folder.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from enum import StrEnum
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, TypeVar

import yaml

from smtpcheck.blame import BadInputError
from smtpcheck.facts.host import MailHost, Security
from smtpcheck.relay.config import Config, Listen, Network, PortRole, Smarthost
from smtpcheck.relay.hop import Login, TlsLevel, TlsPolicy
from smtpcheck.relay.listener import ListenerLimits
from smtpcheck.relay.rates import RateLimits
from smtpcheck.relay.schedule import SECONDS, Schedule
from smtpcheck.wire.address import AddressError, canonical_domain, read_domain, read_mailbox
from smtpcheck.wire.endpoint import EndpointError, endpoint

MAX_OCTETS = 1024 * 1024

E = TypeVar("E", bound=StrEnum)
Reader = Callable[[yaml.Node, str], Any]
"""A node and its key, as in `listeners[0].port`, to a value. Raises _Fault."""


class _Fault(Exception):  # noqa: N818 - becomes a BadInputError once the file is known
    def __init__(self, node: yaml.Node, key: str, words: str) -> None:
        super().__init__(words)
        self.line, self.key = node.start_mark.line + 1, key


def load(path: Path) -> Config:
    """The configuration in `path`. Raises BadInputError."""
    try:
        text = path.read_bytes()[: MAX_OCTETS + 1].decode()
        node = yaml.compose(text, yaml.SafeLoader)
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInputError(f"{path}: not UTF-8") from None
    except yaml.YAMLError as error:
        raise BadInputError(f"{path}{_where(error)}") from None
    except RecursionError:
        raise BadInputError(f"{path}: nested too deeply") from None
    try:
        read = _mapping(_TOP, node, "") if node is not None else {}
    except _Fault as fault:
        place = f"{path}:{fault.line}: " + (f"{fault.key}: " if fault.key else "")
        raise BadInputError(f"{place}{fault}") from None
    return _config(read, path.parent)


def _config(read: dict[str, Any], folder: Path) -> Config:
    local, tls, retry = (read.pop(name, {}) for name in ("local", "tls", "retry"))
    profile: Schedule = retry.pop("profile", Schedule())
    paths = {name: tls.pop(name) for name in ("certificate", "key", "trust") if name in tls}
    paths |= {"data": read.pop("data")} if "data" in read else {}
    return Config(
        **read,
        **{name: folder / path for name, path in paths.items()},
        **local,
        **tls,
        schedule=replace(profile, **retry),
    )


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "no YAML"
    return f":{mark.line + 1}: {problem}" if mark else f": {problem}"


# Nodes to values.


def _mapping(known: Mapping[str, tuple[str, Reader]], node: yaml.Node, key: str) -> dict[str, Any]:
    """The values of a section by the names of their fields."""
    found: dict[str, Any] = {}
    for name, value_node in _pairs(node, key):
        where = f"{key}.{name.value}" if key else name.value
        if name.value not in known:
            near = get_close_matches(name.value, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
            raise _Fault(name, where, f"unknown key{hint}")
        field, read = known[name.value]
        if field in found:
            raise _Fault(name, where, "given twice")
        found[field] = read(value_node, where)
    return found


def _pairs(node: yaml.Node, key: str) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        raise _Fault(node, key, "must be a mapping, KEY: VALUE")
    for name, _ in node.value:
        if not isinstance(name, yaml.ScalarNode):
            raise _Fault(name, key, "a key must be a word")
    return list(node.value)


def _list(read: Reader, node: yaml.Node, key: str) -> tuple[Any, ...]:
    if not isinstance(node, yaml.SequenceNode):
        raise _Fault(node, key, "must be a list")
    return tuple(read(each, f"{key}[{n}]") for n, each in enumerate(node.value))


def _text(node: yaml.Node, key: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        raise _Fault(node, key, "must be a word or text")
    return str(node.value)


def _number(lowest: int, highest: int, node: yaml.Node, key: str) -> int:
    text = _text(node, key)
    if not re.fullmatch(r"[0-9]{1,12}", text) or not lowest <= int(text) <= highest:
        raise _Fault(node, key, f"must be a number from {lowest} to {highest}, not {text!r}")
    return int(text)


def _flag(node: yaml.Node, key: str) -> bool:
    text = _text(node, key).lower()
    if text not in ("true", "false", "yes", "no", "on", "off"):
        raise _Fault(node, key, f"must be true or false, not {text!r}")
    return text in ("true", "yes", "on")


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}


def _seconds(node: yaml.Node, key: str) -> float:
    text = _text(node, key)
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([smhd]?)", text)
    if not found or not float(found[1]):
        raise _Fault(node, key, f"must be a duration such as 30s, 5m, 4h or 5d, not {text!r}")
    return float(found[1]) * _UNITS[found[2]]


_SIZES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def _octets(node: yaml.Node, key: str) -> int:
    text = _text(node, key)
    found = re.fullmatch(r"([0-9]{1,12})\s*([kmg]?)(?:i?b)?", text.lower())
    if not found:
        raise _Fault(node, key, f"must be a size such as 25M, not {text!r}")
    return int(found[1]) * _SIZES[found[2]]


def _one_of(kind: type[E], node: yaml.Node, key: str) -> E:
    text = _text(node, key)
    try:
        return kind(text)
    except ValueError:
        raise _Fault(node, key, f"must be one of {', '.join(kind)}, not {text!r}") from None


def _path(node: yaml.Node, key: str) -> Path:
    return Path(_text(node, key)).expanduser()


def _domain(node: yaml.Node, key: str) -> str:
    try:
        return canonical_domain(read_domain(_text(node, key)))
    except AddressError as error:
        raise _Fault(node, key, str(error)) from None


def _mailbox(node: yaml.Node, key: str) -> str:
    try:
        return read_mailbox(_text(node, key)).canonical.lower()
    except AddressError as error:
        raise _Fault(node, key, f"{error}; write USER@DOMAIN") from None


def _network(node: yaml.Node, key: str) -> Network:
    text = _text(node, key)
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise _Fault(node, key, f"must be a network such as 192.0.2.0/24, not {text!r}") from None


def _address(node: yaml.Node, key: str) -> str:
    text = _text(node, key)
    try:
        return str(ip_address(text))
    except ValueError:
        raise _Fault(node, key, f"must be an IP address, not {text!r}") from None


def _server(node: yaml.Node, key: str) -> str:
    text = _text(node, key)
    try:
        literal = endpoint(text).literal
    except EndpointError as error:
        raise _Fault(node, key, str(error)) from None
    if not literal:
        raise _Fault(node, key, "must be the address of a name server, with or without :PORT")
    return text


def _lmtp(node: yaml.Node, key: str) -> MailHost:
    """A socket file, or ADDRESS:PORT."""
    text = _text(node, key)
    if text.startswith("/"):
        return MailHost(name="lmtp", address=text, security=Security.NONE)
    try:
        store = endpoint(text)
    except EndpointError as error:
        raise _Fault(node, key, str(error)) from None
    if not store.literal or store.port is None:
        raise _Fault(node, key, "must be ADDRESS:PORT or the path of a socket")
    return MailHost(name="lmtp", address=store.host, port=store.port, security=Security.NONE)


def _users(node: yaml.Node, key: str) -> dict[str, str]:
    return {
        str(name.value): _text(value, f"{key}.{name.value}") for name, value in _pairs(node, key)
    }


def _tls_level(node: yaml.Node, key: str) -> TlsPolicy:
    return TlsPolicy(level=_one_of(TlsLevel, node, key))


def _tls_for(node: yaml.Node, key: str) -> dict[str, TlsPolicy]:
    return {
        _domain(name, key): _tls_level(value, f"{key}.{name.value}")
        for name, value in _pairs(node, key)
    }


def _profile(node: yaml.Node, key: str) -> Schedule:
    profiles = {"normal": Schedule(), "seconds": SECONDS}
    text = _text(node, key)
    if text not in profiles:
        raise _Fault(node, key, f"must be one of {', '.join(profiles)}, not {text!r}")
    return profiles[text]


def _delays(node: yaml.Node, key: str) -> tuple[float, ...]:
    delays = _list(_seconds, node, key)
    if not delays:
        raise _Fault(node, key, "must have one delay at least")
    return delays


def _smarthost(node: yaml.Node, key: str) -> Smarthost:
    read = _mapping(_SMARTHOST, node, key)
    login = {name: read.pop(name) for name in ("user", "password") if name in read}
    if "host" not in read:
        raise _Fault(node, key, "host is missing")
    if len(login) == 1:
        raise _Fault(node, key, "user and password go together")
    if login and read.get("security") is Security.NONE:
        raise _Fault(node, key, "a password needs TLS: security is starttls or implicit")
    return Smarthost(**read, login=Login(**login) if login else None)


_port = partial(_number, 1, 65535)
_count = partial(_number, 0, 10**9)
_some = partial(_number, 1, 10**9)
_LISTENER: dict[str, tuple[str, Reader]] = {
    "address": ("address", _address),
    "port": ("port", partial(_number, 0, 65535)),
    "role": ("role", partial(_one_of, PortRole)),
    "security": ("security", partial(_one_of, Security)),
}
_SMARTHOST: dict[str, tuple[str, Reader]] = {
    "host": ("host", _text),
    "port": ("port", _port),
    "security": ("security", partial(_one_of, Security)),
    "user": ("user", _text),
    "password": ("password", _text),
}
_LOCAL: dict[str, tuple[str, Reader]] = {
    "domains": ("local_domains", lambda n, k: frozenset(_list(_domain, n, k))),
    "mailboxes": ("mailboxes", lambda n, k: frozenset(_list(_mailbox, n, k))),
    "catch-all": ("catch_all", _mailbox),
    "lmtp": ("lmtp", _lmtp),
}
_TLS: dict[str, tuple[str, Reader]] = {
    "certificate": ("certificate", _path),
    "key": ("key", _path),
    "trust": ("trust", _path),
    "outgoing": ("tls", _tls_level),
    "destinations": ("tls_for", _tls_for),
}
_LIMITS: dict[str, tuple[str, Reader]] = {
    "message": ("message_octets", _octets),
    "recipients": ("recipients", _some),
    "messages": ("messages", _some),
    "failed-logins": ("failed_logins", _some),
    "idle": ("idle", _seconds),
    "session": ("session", _seconds),
    "connections": ("connections", _some),
    "connections-per-client": ("connections_per_client", _some),
}
_RATES: dict[str, tuple[str, Reader]] = {
    "connections": ("connections", _count),
    "messages": ("messages", _count),
    "recipients": ("recipients", _count),
    "failed-logins": ("failed_logins", _count),
}
_RETRY: dict[str, tuple[str, Reader]] = {
    "profile": ("profile", _profile),
    "delays": ("delays", _delays),
    "warning": ("warning", _seconds),
    "lifetime": ("lifetime", _seconds),
}
_TOP: dict[str, tuple[str, Reader]] = {
    "hostname": ("hostname", _domain),
    "data": ("data", _path),
    "listeners": (
        "listen",
        partial(_list, lambda n, k: Listen(**_mapping(_LISTENER, n, k))),
    ),
    "users": ("users", _users),
    "local": ("local", partial(_mapping, _LOCAL)),
    "networks": ("networks", partial(_list, _network)),
    "smarthost": ("smarthost", _smarthost),
    "resolver": ("resolver", _server),
    "mx-port": ("mx_port", _port),
    "tls": ("tls", partial(_mapping, _TLS)),
    "limits": ("limits", lambda n, k: ListenerLimits(**_mapping(_LIMITS, n, k))),
    "rates": ("rates", lambda n, k: RateLimits(**_mapping(_RATES, n, k))),
    "retry": ("retry", partial(_mapping, _RETRY)),
    "transcripts": ("transcripts", _flag),
    "keep": ("keep", _seconds),
    "concurrency": ("concurrency", _some),
    "connections": ("connections", _some),
    "auth-in-clear": ("auth_in_clear", _flag),
}
