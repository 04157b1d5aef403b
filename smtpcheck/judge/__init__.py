"""Facts become findings: pure rules over a saved observation, no clock, no file, no socket."""
