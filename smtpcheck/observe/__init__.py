"""Gathers facts and decides nothing."""
