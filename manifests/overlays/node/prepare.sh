#!/bin/sh
# Make the folders of volumes.yaml; run it on the node, as root. They outlive the cluster's objects.
set -eu
for name in postgres s3; do
  install --directory --owner=10001 --group=10001 --mode=0700 "/var/lib/turnout/$name"
done
