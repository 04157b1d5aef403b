"""Shows a report and decides nothing."""
