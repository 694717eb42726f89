"""What an experiment is and which trials follow: kinds, plan, resolved values, schema, identity of code and data."""
