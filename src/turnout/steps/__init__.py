"""What the components of the pipeline do, as plain functions over a spec, paths and tables."""
