"""InferenceServices as processes: what KServe's controller and the kubelet do on a cluster."""
