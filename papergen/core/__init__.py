"""What every package stands on: errors, files, locks, caches, strict YAML, text widths, secrets, shipped files."""
