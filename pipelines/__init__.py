"""KFP pipelines, one per file, with their compiled YAML beside them; a laptop and a cluster run the same file."""
