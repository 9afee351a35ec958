#!/usr/bin/env bash
# Build the images with whatever builds images here: docker, podman or buildah.
#
#   images/build.sh [predictor|pipeline|control ...]     (default: these three)
#   images/build.sh postgres seaweedfs storage-initializer sklearn-predictor
#
# Build context is the repository's root (.dockerignore names what it gives), labels say what was built from what.
# postgres, seaweedfs and storage-initializer are for check machines that cannot pull what others publish (manifests/overlays/node).
#
# TAG       their tag (default: the version in pyproject.toml)
# REGISTRY  what stands before their names (default: localhost)
# BASE      the base image; it must have python3 of 3.11 or later and CA certificates (default: in the Dockerfiles)
# BUILDER   docker, podman or buildah (default: the first that is there)
# BUILD_ARGS  more arguments for the builder, for instance a proxy's
set -euo pipefail
cd "$(dirname "$0")/.."

names=("$@")
[ ${#names[@]} -gt 0 ] || names=(predictor pipeline control)
for name in "${names[@]}"; do
  if [ ! -f "images/$name/Dockerfile" ]; then
    echo "images/build.sh: wanted $(cd images && echo */ | tr -d /); found $name" >&2
    exit 2
  fi
done

builder=${BUILDER:-}
for candidate in docker podman buildah; do
  if [ -n "$builder" ]; then break; fi
  # A docker client without its engine builds nothing.
  if [ "$candidate" = docker ]; then
    if docker info > /dev/null 2>&1; then builder=docker; fi
  elif command -v "$candidate" > /dev/null; then
    builder=$candidate
  fi
done
if [ -z "$builder" ]; then
  echo "images/build.sh: wanted docker (with its engine running), podman or buildah on PATH; found none" >&2
  exit 1
fi

tag=${TAG:-$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)}
registry=${REGISTRY:-localhost}
revision=$(git rev-parse HEAD 2> /dev/null || echo unknown)
if [ -n "$(git status --porcelain 2> /dev/null)" ]; then revision="$revision-dirty"; fi
source=$(git config --get remote.origin.url || true)
case $source in https://*) ;; *) source=unknown ;; esac # nobody needs to know a path of this machine
label=org.opencontainers.image
arguments=(--label "$label.source=$source" --label "$label.revision=$revision" --label "$label.version=$tag")
if [ -n "${BASE:-}" ]; then arguments+=(--build-arg "BASE=$BASE"); fi
if [ "$builder" = buildah ]; then command=(buildah build); else command=("$builder" build); fi

for name in "${names[@]}"; do
  image="$registry/turnout-$name:$tag"
  echo "== $image ($builder)"
  # shellcheck disable=SC2086 # BUILD_ARGS is several words
  "${command[@]}" "${arguments[@]}" --label "$label.title=turnout $name" ${BUILD_ARGS:-} --file "images/$name/Dockerfile" --tag "$image" .
done
