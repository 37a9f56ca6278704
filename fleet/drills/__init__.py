"""Faults made on purpose: each drill says what is expected, breaks something under load, and tells what was observed."""
