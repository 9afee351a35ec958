#!/usr/bin/env bash
# Put the images into a cluster that pulls from no registry.
#
#   images/load.sh [predictor|pipeline|control ...]
#
# TAG, REGISTRY  as for build.sh
# CLUSTER        the kind cluster (default: turnout)
# LOADER         a command that takes image archives (OCI), instead of kind
set -euo pipefail
cd "$(dirname "$0")/.."

names=("$@")
[ ${#names[@]} -gt 0 ] || names=(predictor pipeline control)
tag=${TAG:-$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)}
registry=${REGISTRY:-localhost}

archive() { # image, file: as an OCI archive
  if command -v buildah > /dev/null && buildah inspect "$1" > /dev/null 2>&1; then
    buildah push --quiet "$1" "oci-archive:$2:$1"
  elif command -v podman > /dev/null && podman image exists "$1"; then
    podman save --quiet --format oci-archive --output "$2" "$1"
  elif docker image inspect "$1" > /dev/null 2>&1; then
    docker save --output "$2" "$1"
  else
    echo "images/load.sh: $1 is not here; make images builds it" >&2
    return 1
  fi
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for name in "${names[@]}"; do
  image="$registry/turnout-$name:$tag"
  echo "== $image"
  archive "$image" "$folder/$name.tar"
  if [ -n "${LOADER:-}" ]; then
    # shellcheck disable=SC2086 # a command with its arguments
    $LOADER "$folder/$name.tar"
  elif command -v kind > /dev/null; then
    kind load image-archive "$folder/$name.tar" --name "${CLUSTER:-turnout}"
  else
    echo "images/load.sh: wanted kind on PATH, or LOADER=COMMAND; found neither" >&2
    exit 1
  fi
  rm "$folder/$name.tar"
done
