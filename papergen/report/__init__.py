"""Plain data for the paper: values, statistics, tables, figures, citations."""
