"""Budgets: how many octets and how much time a peer may have. Every edge takes one of these."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times in seconds, sizes in octets, of one connection unless said otherwise.

    The greeting may take longer than a reply: tarpits and DNS look-ups of the server's come
    before it. RFC 5321 §4.5.3.2 asks five minutes of a mail queue; a diagnosis is done sooner
    and calls what it did not wait for inconclusive.
    """

    lookup: float = 8.0
    """Of one DNS question, all servers and repeats included."""
    connect: float = 10.0
    greeting: float = 30.0
    reply: float = 20.0
    handshake: float = 15.0
    silence: float = 3.0
    """Of a user's clear-text port before it is asked whether it speaks TLS."""
    silence_mx: float = 8.0
    """Of an MX: Postfix's postscreen bans who talks before its greeting, which waits up to 6 s."""
    back_off: float = 5.0
    """Of rest after a 421 before we come again, once."""
    quit: float = 5.0
    run: float = 90.0
    """Of the whole run."""
    reply_octets: int = 64 * 1024
    inbound_octets: int = 1024 * 1024
    handshake_octets: int = 256 * 1024
    transcript_octets: int = 128 * 1024
    certificates: int = 10
    """Of a presented chain, more are counted and not kept."""
    connections: int = 5
    """At once, in the whole run."""
    connections_per_port: int = 20
    """In all, to one address and port."""
    addresses: int = 16
    """Of one name, more are counted and not asked."""


DEFAULT = Limits()
