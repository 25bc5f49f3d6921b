"""History in SQL: the log verbatim, what it made of orders and stock, and the way back to answers long gone."""
