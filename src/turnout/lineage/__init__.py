"""What is known of a prediction's past, and whether it can be made again.

tracing      prediction -> version -> run -> snapshot -> sources, commit and image, with the decisions in between
openlineage  a trace as events of the OpenLineage standard
picture      a trace as SVG
history      which versions were live at a time
reproducing  a version made again from what it was made of, and compared
comparing    versions side by side: data, parameters, metrics
connecting   where the ledger and the artifacts are
"""
