"""smtpcheck: whether an SMTP set-up works, and where it does not, the cause and the remedy."""

__version__ = "0.1.0"
