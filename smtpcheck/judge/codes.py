"""What a reply code or an enhanced status code stands for, and what to do about it.

Sources: RFC 5321 §4.2.3 and the RFCs named; for X.Y.Z the IANA registry that RFC 5248 set up.
Law: a code that no table knows is explained by its digits; every legal code gets an answer.
"""

import re
from dataclasses import dataclass

from smtpcheck.wire.reply import EnhancedStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A code as it was asked for. `known` is False when only its digits could be read."""

    code: str
    meaning: str
    action: str
    reference: str
    known: bool = True


Row = tuple[str, str, str]
"""Meaning, action, reference."""

_NONE = "Nothing: it is as it should be."
_WAIT = "Nothing at once: the sender's queue tries again. If it stays, ask the receiving side."
_SENDER = "Correct the address; the same message to it will fail again."
_CLIENT = "Correct the client, or the middlebox that changes what it sends."

REPLIES: dict[int, Row] = {
    211: ("Status of the system, or an answer to HELP.", _NONE, "RFC 5321 §4.2.3"),
    214: ("Help text for people.", _NONE, "RFC 5321 §4.2.3"),
    220: ("The service is ready: the greeting, or the go-ahead for STARTTLS.", _NONE,
          "RFC 5321 §4.2.3; RFC 3207 §4"),
    221: ("The server closes the connection, as QUIT asked.", _NONE, "RFC 5321 §4.2.3"),
    235: ("Authentication succeeded.", _NONE, "RFC 4954 §6"),
    250: ("The command was carried out; after the end of data, the message is accepted.",
          _NONE, "RFC 5321 §4.2.3"),
    251: ("The user is not local; the server forwards.",
          "Use the address in the text from now on, if you trust the server.",
          "RFC 5321 §4.2.3, §3.4"),
    252: ("The server will not say whether the mailbox exists, and takes the message.",
          _NONE, "RFC 5321 §3.5.3"),
    253: ("Messages that waited for this node are being sent (ETRN).", _NONE, "RFC 1985"),
    334: ("The server asks for the next step of authentication; the text is base64.",
          _NONE, "RFC 4954 §4"),
    354: ("Go ahead with the message, and end it with a dot on a line of its own.",
          _NONE, "RFC 5321 §4.2.3"),
    421: ("The service is not available and the connection closes: busy, shutting down, or "
          "limiting this client.",
          "Come again later and with fewer connections at once. On your own server look at "
          "process and rate limits.", "RFC 5321 §4.2.3, §3.8"),
    432: ("The password must be changed to another form before this mechanism works.",
          "Log in once with PLAIN inside TLS, or set the password anew.", "RFC 4954 §6"),
    450: ("The mailbox is not available for now: busy, locked, or greylisted.",
          _WAIT, "RFC 5321 §4.2.3"),
    451: ("The server met an error of its own while working on it.",
          "Look in the server's log for this moment: a filter, a look-up or a disk failed. The "
          "sender tries again.", "RFC 5321 §4.2.3"),
    452: ("Out of space, or too many recipients for one transaction.",
          "Free space on the server; as a sender give the remaining recipients in another "
          "transaction.", "RFC 5321 §4.2.3, §4.5.3.1.10"),
    453: ("There is no mail waiting (ATRN).", _NONE, "RFC 2645"),
    454: ("To AUTH: the authentication back end failed for now. To STARTTLS: TLS is not "
          "available for now.",
          "On your own server see that the SASL daemon runs, or that key and certificate can "
          "be read.", "RFC 4954 §6; RFC 3207 §4"),
    455: ("The server can't honour the parameters for now.", _WAIT, "RFC 5321 §4.2.3"),
    458: ("The queue for this node could not be started (ETRN).", _WAIT, "RFC 1985"),
    459: ("This node may not ask for its queue (ETRN).",
          "Have the operator allow ETRN for your domain.", "RFC 1985"),
    500: ("The command was not recognised, or the line was too long.", _CLIENT,
          "RFC 5321 §4.2.3"),
    501: ("The parameters of the command are malformed.",
          "Look at the command before it in the transcript: a name in EHLO that is none, an "
          "address without angle brackets, or a space after the colon.", "RFC 5321 §4.2.3"),
    502: ("The command is known and not implemented, or switched off.",
          "Do without it, or enable it on the server.", "RFC 5321 §4.2.4"),
    503: ("The commands come in the wrong order.",
          "Look at what was refused before: DATA after a refused RCPT, AUTH within a "
          "transaction, MAIL before EHLO.", "RFC 5321 §4.2.3"),
    504: ("A parameter of the command is not implemented; to AUTH: the mechanism is unknown.",
          "Use what EHLO offers.", "RFC 5321 §4.2.3; RFC 4954 §4"),
    521: ("This host takes no mail at all.",
          "Do not send to it. If it should take mail, correct its configuration or the MX.",
          "RFC 7504 §3"),
    530: ("Authentication is required, or STARTTLS must come first.",
          "Turn on TLS and the login in the mail program. On an MX, do not ask strangers to "
          "authenticate.", "RFC 4954 §6; RFC 3207 §4"),
    534: ("The mechanism is too weak for this server or user.",
          "Use a stronger mechanism; with some providers, an application password or OAuth.",
          "RFC 4954 §6"),
    535: ("The credentials were refused.",
          "Check the form of the user name (with or without the domain), the password, whether "
          "an application password or OAuth is asked for, and whether SMTP login is switched "
          "off for the account.", "RFC 4954 §6"),
    538: ("This mechanism is allowed inside TLS only.", "Turn on TLS in the client.",
          "RFC 4954 §6"),
    550: ("Not carried out: the mailbox does not exist or may not be used, or policy refuses.",
          "Read the text and the enhanced code: 5.1.1 is an unknown address, 5.7.1 is policy.",
          "RFC 5321 §4.2.3"),
    551: ("The user is not local, and the server does not forward.",
          "Send to the address in the text, if you trust the server.", "RFC 5321 §4.2.3, §3.4"),
    552: ("The message is larger than the server or the mailbox takes.",
          "Send a smaller message or a link, or raise the limit or quota.", "RFC 5321 §4.2.3"),
    553: ("The mailbox name is not allowed, mostly a malformed address.", _SENDER,
          "RFC 5321 §4.2.3"),
    554: ("The transaction failed; as a greeting: no SMTP service for you here.",
          "Read the text: block list, policy or content. As a greeting it mostly tells of the "
          "client's address.", "RFC 5321 §4.2.3, §3.1"),
    555: ("The parameters of MAIL or RCPT are not known or not implemented.",
          "Send only what EHLO offers; look for a proxy that hides or adds keywords.",
          "RFC 5321 §4.2.3"),
    556: ("The domain takes no mail: it publishes a null MX.", _SENDER, "RFC 7504 §4"),
}  # fmt: skip

CLASSES: dict[int, tuple[str, str]] = {
    2: ("Success", _NONE),
    4: ("Temporary failure", _WAIT),
    5: ("Permanent failure", "Change what the text complains of; repeating it will not help."),
}

SUBJECTS: dict[int, str] = {
    0: "something that no other group covers",
    1: "the address",
    2: "the mailbox",
    3: "the mail system of the receiver",
    4: "the network and the routing",
    5: "the dialogue",
    6: "the content of the message",
    7: "security or policy",
}

STATUSES: dict[tuple[int, int], Row] = {
    (0, 0): ("Nothing more is known than the class.", "Read the text beside the code.",
             "RFC 3463 §3.1"),
    (1, 0): ("Something about the address.", _SENDER, "RFC 3463 §3.2"),
    (1, 1): ("There is no such mailbox.", _SENDER, "RFC 3463 §3.2"),
    (1, 2): ("The domain or host of the address does not exist or takes no mail.", _SENDER,
             "RFC 3463 §3.2"),
    (1, 3): ("The address is malformed.", _SENDER, "RFC 3463 §3.2"),
    (1, 4): ("The address fits more than one recipient.", _SENDER, "RFC 3463 §3.2"),
    (1, 5): ("The address is valid.", _NONE, "RFC 3463 §3.2"),
    (1, 6): ("The mailbox has moved, and mail is not forwarded.",
             "Ask for the new address.", "RFC 3463 §3.2"),
    (1, 7): ("The sender's address is malformed.",
             "Correct the reverse path in the sending program.", "RFC 3463 §3.2"),
    (1, 8): ("The domain of the sender's address does not exist or takes no mail.",
             "Send from a domain that has an MX or address record.", "RFC 3463 §3.2"),
    (1, 9): ("The message was passed on to a system that reports no further.", _NONE,
             "RFC 3886"),
    (1, 10): ("The domain of the recipient takes no mail: it publishes a null MX.", _SENDER,
              "RFC 7505"),
    (2, 0): ("Something about the mailbox.", "Ask the recipient's operator.", "RFC 3463 §3.3"),
    (2, 1): ("The mailbox exists and is disabled.", "Ask the recipient's operator.",
             "RFC 3463 §3.3"),
    (2, 2): ("The mailbox is full.", "The recipient must make room, or get a larger quota.",
             "RFC 3463 §3.3"),
    (2, 3): ("The message is larger than this mailbox may get.",
             "Send a smaller message, or raise the limit.", "RFC 3463 §3.3"),
    (2, 4): ("A mailing list could not be expanded.", "Ask the owner of the list.",
             "RFC 3463 §3.3"),
    (3, 0): ("Something about the receiving system.", "Ask its operator.", "RFC 3463 §3.4"),
    (3, 1): ("The receiving system is out of space.", "Free space on its mail spool.",
             "RFC 3463 §3.4"),
    (3, 2): ("The system takes no messages: shutting down, in maintenance, or none at all.",
             _WAIT, "RFC 3463 §3.4"),
    (3, 3): ("The system lacks a feature that the message asks for.",
             "Send without it, or over a server that has it.", "RFC 3463 §3.4"),
    (3, 4): ("The message is larger than the system takes.",
             "Send a smaller message, or raise the size limit.", "RFC 3463 §3.4"),
    (3, 5): ("The system is not configured to take this message.",
             "Correct the domains, relays or transports that it knows.", "RFC 3463 §3.4"),
    (3, 6): ("The priority of the message was changed.", _NONE, "RFC 6710"),
    (4, 0): ("Something about the network or the routing.", _WAIT, "RFC 3463 §3.5"),
    (4, 1): ("The host does not answer.", "Check address, firewall and service.",
             "RFC 3463 §3.5"),
    (4, 2): ("The connection broke in the middle.", _WAIT, "RFC 3463 §3.5"),
    (4, 3): ("A directory, most often the DNS, could not be asked.",
             "Check the resolver of the sending server.", "RFC 3463 §3.5"),
    (4, 4): ("No way to the host is known.", "Check the MX and address records.",
             "RFC 3463 §3.5"),
    (4, 5): ("The system or network is congested.", _WAIT, "RFC 3463 §3.5"),
    (4, 6): ("The message runs in a circle.",
             "Find the forwarding rule, or the MX that points back to the sender.",
             "RFC 3463 §3.5"),
    (4, 7): ("The message waited too long to be delivered.",
             "Look for the reason of the tries before.", "RFC 3463 §3.5"),
    (5, 0): ("Something about the dialogue.", _CLIENT, "RFC 3463 §3.6"),
    (5, 1): ("The command is not valid here.", "Look at what was refused before it.",
             "RFC 3463 §3.6"),
    (5, 2): ("The command is malformed.", _CLIENT, "RFC 3463 §3.6"),
    (5, 3): ("Too many recipients for one transaction.",
             "Send to the rest in another one; senders do so by themselves.", "RFC 3463 §3.6"),
    (5, 4): ("The parameters of the command are not valid.", _CLIENT, "RFC 3463 §3.6"),
    (5, 5): ("The two sides speak different versions of the protocol.", _CLIENT,
             "RFC 3463 §3.6"),
    (5, 6): ("A line of the authentication is too long.",
             "Shorten the token, or correct the client.", "RFC 4954 §6"),
    (6, 0): ("Something about the content.", "Read the text beside the code.",
             "RFC 3463 §3.7"),
    (6, 1): ("The medium is not supported.", "Send the content in another format.",
             "RFC 3463 §3.7"),
    (6, 2): ("The content would have to be converted, and that is forbidden.",
             "Send it in a form that the receiver takes.", "RFC 3463 §3.7"),
    (6, 3): ("The content would have to be converted, and that can't be done.",
             "Send it encoded as base64 or quoted-printable.", "RFC 3463 §3.7"),
    (6, 4): ("The content was converted with loss.", "Compare what arrived.",
             "RFC 3463 §3.7"),
    (6, 5): ("The conversion failed.", "Send it encoded as base64 or quoted-printable.",
             "RFC 3463 §3.7"),
    (6, 6): ("The content is not available to the server (BURL).",
             "Send the content itself.", "RFC 4468"),
    (6, 7): ("Addresses beyond ASCII are not allowed for this sender or recipient.",
             "Use an ASCII address, or a server with SMTPUTF8 on the whole way.",
             "RFC 6531"),
    (6, 8): ("The reply would need UTF-8, and the client did not allow it.", _CLIENT,
             "RFC 6531"),
    (6, 9): ("A header in UTF-8 can't be passed on to one of the recipients.",
             "Send with an ASCII header, or have the next server offer SMTPUTF8.",
             "RFC 6531"),
    (6, 10): ("An old number for X.6.8, no longer given out.", "Read it as X.6.8.",
              "RFC 6531"),
    (7, 0): ("Something about security.", "Read the text beside the code.", "RFC 3463 §3.8"),
    (7, 1): ("The sender is not authorised: policy, a filter or a missing login.",
             "Log in where a login is due; otherwise read the text, which mostly links to the "
             "list or rule.", "RFC 3463 §3.8"),
    (7, 2): ("The sender may not write to this mailing list.", "Ask the owner of the list.",
             "RFC 3463 §3.8"),
    (7, 3): ("A conversion between security systems is impossible.",
             "Send without that protection, or over another way.", "RFC 3463 §3.8"),
    (7, 4): ("A security feature is not supported.", "Do without it, or use another server.",
             "RFC 3463 §3.8"),
    (7, 5): ("A cryptographic operation failed.", "Check keys and certificates.",
             "RFC 3463 §3.8"),
    (7, 6): ("The cryptographic algorithm is not supported.", "Use a current one.",
             "RFC 3463 §3.8"),
    (7, 7): ("The integrity of the message could not be shown.",
             "Find the hop that changes it.", "RFC 3463 §3.8"),
    (7, 8): ("The credentials were refused.", REPLIES[535][1], "RFC 4954 §6"),
    (7, 9): ("The authentication mechanism is too weak.", REPLIES[534][1], "RFC 4954 §6"),
    (7, 10): ("Encryption is needed.", "Turn on TLS.", "RFC 5248 §2.4"),
    (7, 11): ("This authentication mechanism needs encryption.", REPLIES[538][1],
              "RFC 4954 §6"),
    (7, 12): ("A password transition is needed.", REPLIES[432][1], "RFC 4954 §6"),
    (7, 13): ("The account is disabled.", "Ask whoever runs the account.", "RFC 5248 §2.4"),
    (7, 14): ("A trust relationship with a third server is needed.",
              "Ask the operators of both.", "RFC 5248 §2.4"),
    (7, 15): ("The priority of the message is too low for now.",
              "Send with a higher priority, or later.", "RFC 6710"),
    (7, 16): ("The message is too large for its priority.",
              "Send it smaller, or with another priority.", "RFC 6710"),
    (7, 17): ("The mailbox has another owner than the sender thinks.",
              "Ask the recipient for the current address.", "RFC 7293"),
    (7, 18): ("The domain has another owner than the sender thinks.",
              "Ask the recipient for the current address.", "RFC 7293"),
    (7, 19): ("Whether the owner changed could not be tested.", _WAIT, "RFC 7293"),
    (7, 20): ("No DKIM signature passed.", "Sign with DKIM, and publish the key.",
              "RFC 7372 §3.1"),
    (7, 21): ("A DKIM signature passed, and none that the receiver accepts.",
              "Sign as the receiver's policy asks.", "RFC 7372 §3.1"),
    (7, 22): ("No DKIM signature of the author's domain passed.",
              "Sign with the domain of the From field.", "RFC 7372 §3.1"),
    (7, 23): ("SPF does not allow this server to send for the domain.",
              "Add it to the SPF record, or send over a server that is in it.",
              "RFC 7372 §3.2"),
    (7, 24): ("SPF could not be evaluated.", "Correct the SPF record.", "RFC 7372 §3.2"),
    (7, 25): ("The sending address has no reverse name that fits.",
              "Set the PTR record, and let the name resolve back.", "RFC 7372 §3.3"),
    (7, 26): ("Several authentication checks failed.", "Mend SPF, DKIM and alignment.",
              "RFC 7372 §3.4"),
    (7, 27): ("The domain of the sender takes no mail: it publishes a null MX.",
              "Send from a domain to which replies are possible.", "RFC 7505 §4.2"),
    (7, 28): ("Too much mail of this kind at once.", "Slow down, and look for a compromised "
              "account.", "IANA registry"),
    (7, 29): ("The ARC chain is broken.", "Find the forwarder that breaks it.",
              "RFC 8617"),
    (7, 30): ("The message requires TLS on the whole way, and the next server can't promise "
              "it.", "Send without REQUIRETLS, or over servers that offer it.",
              "RFC 8689"),
}  # fmt: skip

_REPLY = re.compile(r"[2-5][0-9]{2}\Z")
_STATUS = re.compile(r"([245])\.([0-9]{1,3})\.([0-9]{1,3})\Z")

_FIRST = {
    2: ("Success", _NONE),
    3: ("Half done: the server waits for more", _NONE),
    4: ("Refused for now", _WAIT),
    5: ("Refused for good", CLASSES[5][1]),
}
_SECOND = {
    0: "the syntax of the command",
    1: "information such as help",
    2: "the connection",
    5: "the mail system and what it was asked to do",
}


def code(text: str) -> Code | None:
    """The explanation of `535` or `5.7.8`; None for what has neither form."""
    if _REPLY.match(text):
        return _reply(int(text))
    if found := _STATUS.match(text):
        return _status(EnhancedStatus(*map(int, found.groups())))
    return None


def _reply(number: int) -> Code:
    if row := REPLIES.get(number):
        return Code(code=str(number), meaning=row[0], action=row[1], reference=row[2])
    word, action = _FIRST[number // 100]
    subject = _SECOND.get(number // 10 % 10, "nothing in particular")
    return Code(
        code=str(number),
        meaning=f"{word}, about {subject}: no standard that we know defines {number}.",
        action=f"{action} Clients go by the first digit.",
        reference="RFC 5321 §4.2.1",
        known=False,
    )


def _status(status: EnhancedStatus) -> Code:
    word, action = CLASSES[status.class_]
    if row := STATUSES.get((status.subject, status.detail)):
        meaning, deed, reference = row
        return Code(
            code=str(status),
            meaning=f"{word}. {meaning}",
            action=action if status.class_ == 2 else deed,
            reference=reference,
        )
    subject = SUBJECTS.get(status.subject, "a subject that no standard defines")
    return Code(
        code=str(status),
        meaning=f"{word}, about {subject}: the registry has no X.{status.subject}.{status.detail}.",
        action=action,
        reference="RFC 3463 §2; RFC 5248 §2.1",
        known=False,
    )
