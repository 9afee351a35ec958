#!/bin/sh
# In a build stage, with the repository as working folder: the package with some extras into /opt/turnout.
#
#   images/install.sh predictor 150            refused when it becomes more than 150 MB
#   images/install.sh control,pipeline 950
#
# The lock is the constraint, not the list: only what the extras need comes in.
set -eu
python3 -m venv /opt/turnout
/opt/turnout/bin/pip install --quiet --no-cache-dir uv==0.13.8
grep -v -e '--hash=' requirements.lock | sed 's/ \\$//' > constraints.txt
/opt/turnout/bin/uv pip install --quiet --no-cache --system-certs --python /opt/turnout/bin/python \
  --constraint constraints.txt ".[$1]"
/opt/turnout/bin/pip uninstall --quiet --yes uv pip setuptools
case $1 in
  # Serving runtimes are pulled to every machine: without what packages test themselves with.
  predictor | sklearn) find /opt/turnout -type d -name tests -prune -exec rm -rf {} + ;;
esac
found=$(du -sm --apparent-size /opt/turnout | cut -f1)
if [ "$found" -gt "$2" ]; then
  echo "images/install.sh: wanted at most $2 MB for $1, found $found MB" >&2
  exit 1
fi
