"""What was seen: frozen values only. They cross from observe to judge, and to a file."""
