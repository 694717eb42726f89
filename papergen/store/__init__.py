"""The run store: records, result folders, their index, maintenance, archives, and hand-over to trackers."""
