"""HTTP in: one module per resource, each with its table of routes; the domain raises facts, `problems` turns them into answers."""
