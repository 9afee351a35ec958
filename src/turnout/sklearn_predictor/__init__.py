"""The scikit-learn serving runtime: `turnout.predictor` with another model behind it.

For versions that ONNX cannot say, and for InferenceServices of the format `sklearn` as KServe's own samples write them.
Protocols, batching, prediction log and metrics are the predictor's; it never imports this package, so that a version
served by ONNX starts without scikit-learn.
"""
