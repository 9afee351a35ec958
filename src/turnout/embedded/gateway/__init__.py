"""HTTPRoutes as Envoy's configuration: what a Gateway API implementation does on a cluster."""
