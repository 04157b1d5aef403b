"""The standards as pure functions, used by judge, observe and relay alike."""
