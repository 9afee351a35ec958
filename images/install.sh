#!/bin/sh
# In a build stage, with the repository as working folder: the package with some extras into /opt/turnout.
#
#   images/install.sh control,pipeline
#
# The lock is the constraint, not the list: only what the extras need comes in.
set -eu
python3 -m venv /opt/turnout
/opt/turnout/bin/pip install --quiet --no-cache-dir uv==0.13.8
grep -v -e '--hash=' requirements.lock | sed 's/ \\$//' > constraints.txt
/opt/turnout/bin/uv pip install --quiet --no-cache --system-certs --python /opt/turnout/bin/python \
  --constraint constraints.txt ".[$1]"
/opt/turnout/bin/pip uninstall --quiet --yes uv pip setuptools
