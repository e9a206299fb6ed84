"""Reports as tables, in two languages and three formats."""
