"""Templates of venues: the folder a project is scaffolded from, its rules, style files and typesetting."""
