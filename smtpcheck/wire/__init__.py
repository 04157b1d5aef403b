"""Bytes become values and values become bytes: the grammar of the wire, without any I/O."""
