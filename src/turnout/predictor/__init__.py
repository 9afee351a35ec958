"""The ONNX serving runtime: KServe's V1 and V2 protocols, and a prediction log that survives the process.

It imports numpy, onnxruntime, uvloop, httptools and orjson and nothing else of weight, because a version must start
in about half a second and two of them must fit on a laptop beside everything else. One request, read top to bottom:

    protocol.Connection    bytes -> request; keeps the order of replies on a connection
    batching.Batcher       gathers the requests of one tick of the event loop
    inference.Inference    decode (v1, v2) -> one run of the model -> encode
    prediction_log         one write for the tick, before its replies
    shipper                a thread that hands closed segments to the ledger
"""
