"""The layouts on disk that can be written, one module a set, and the table of them."""
