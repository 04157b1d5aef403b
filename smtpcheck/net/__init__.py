"""Every socket of the program. Nothing outside this room opens one."""
