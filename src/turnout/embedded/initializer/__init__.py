"""Brings a model from where its storageUri says into a folder, in a process of its own: what KServe's storage
initializer does, for s3:// and http(s)://.
"""
