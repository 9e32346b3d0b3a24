"""The sagas, pure: an event comes in, orders go out."""
