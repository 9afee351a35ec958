#!/usr/bin/env python3
"""Pairs of URI and folder, as KServe's controller passes them; the download is kserve_storage's."""

import os
import sys

from kserve_storage import Storage
from kserve_storage.logging import configure_logging, logger

configure_logging()
uris, folders = sys.argv[1::2], sys.argv[2::2]
for folder in folders:
    os.makedirs(folder, exist_ok=True)
try:
    Storage.download_files(uris, folders)
except Exception as error:  # noqa: BLE001 - whatever it was is the Pod's last word, as in KServe's own image
    logger.error("Storage initialization failed: %s", error)
    sys.exit(1)
