"""The report of verify as pictures and as a page: Report -> Tree -> text, all of it pure."""
