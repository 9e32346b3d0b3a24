"""HTTP in: one module per resource, each with its table of routes; `problems` turns the core's facts into answers."""
