"""KFP components, one per file: open artifacts, call one function of `turnout.steps`, write artifacts.

KFP ships nothing but the body of each function, so everything it needs is imported inside it, and only from the image.
"""
