"""V2 over gRPC: the same versions, batches, records and metrics as over HTTP. Imported only when it is asked for."""
