#!/usr/bin/env bash
# Make a base image without a registry of images: Debian with Python, from Debian's own packages. Needs root.
#
#   images/base.sh [NAME]        (default: localhost/turnout-base:bookworm)
#
# SUITE   Debian's release (default: bookworm, which has Python 3.11)
# MIRROR  where its packages are (default: Debian's own mirror)
set -euo pipefail

name=${1:-localhost/turnout-base:bookworm}
suite=${SUITE:-bookworm}
mirror=${MIRROR:-http://deb.debian.org/debian}
for tool in debootstrap buildah; do
  if ! command -v "$tool" > /dev/null; then
    echo "images/base.sh: wanted $tool on PATH (Debian: apt-get install $tool), found none" >&2
    exit 1
  fi
done
if [ "$(id -u)" != 0 ]; then
  echo "images/base.sh: debootstrap needs root" >&2
  exit 1
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates "$suite" "$root" "$mirror"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/* "$root"/usr/share/man/*
container=$(buildah from scratch)
trap 'rm -rf "$root"; buildah rm "$container" > /dev/null' EXIT
buildah add --quiet "$container" "$root" /
buildah config --env LANG=C.UTF-8 --cmd python3 "$container"
buildah commit --quiet "$container" "$name"
echo "$name"
