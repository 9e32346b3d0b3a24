"""Sanctions and PEP screening: the matching engine, the lists it reads, and the watch over the years."""
