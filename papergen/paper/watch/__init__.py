"""`papergen watch`: rebuild when a file is saved or a result arrives, with a live preview in the browser."""
