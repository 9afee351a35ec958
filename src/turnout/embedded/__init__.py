"""The laptop engine: the Kubernetes API, KServe's and the gateway's controllers, and the processes behind them."""
