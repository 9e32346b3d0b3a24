"""`kyc`: everything that an operator or a newcomer does from a terminal."""
