"""SASL mechanisms as pure exchanges, a file each, client and server side (RFC 4422)."""
