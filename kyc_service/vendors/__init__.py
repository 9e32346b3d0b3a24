"""Everybody who verifies documents: one module a vendor, and the table that names them."""
