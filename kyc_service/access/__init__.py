"""Who is asking, and may they? Tokens become principals (`tokens`, `jwks`), principals get decisions (`policy`)."""
