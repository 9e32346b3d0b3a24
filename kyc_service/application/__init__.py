"""The loop: a command comes in, events and orders are committed, effects bring the next command."""
