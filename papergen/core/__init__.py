"""What every package stands on: errors, files, locks, one cache, strict YAML, text widths, secrets, shipped files."""
