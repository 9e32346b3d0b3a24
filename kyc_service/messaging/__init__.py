"""The bus: what is told to other services, and through which broker. It knows promises, and never the database."""
