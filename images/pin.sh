#!/usr/bin/env bash
# Print a base image with the digest that its tag has at the registry now, for builds that can be repeated:
#
#   BASE=$(images/pin.sh) make images                (default: python:3.11-slim)
#   BASE=$(images/pin.sh registry.example.com/python:3.11-slim) make images
set -euo pipefail

image=${1:-python:3.11-slim}
if docker buildx version > /dev/null 2>&1; then
  digest=$(docker buildx imagetools inspect "$image" --format '{{.Manifest.Digest}}')
elif command -v skopeo > /dev/null; then
  case $image in */*) name=$image ;; *) name=docker.io/library/$image ;; esac
  digest=$(skopeo inspect --format '{{.Digest}}' "docker://$name")
else
  echo "images/pin.sh: wanted docker with buildx, or skopeo, on PATH; found neither" >&2
  exit 1
fi
case $digest in
  sha256:*) echo "${image%@*}@$digest" ;;
  *)
    echo "images/pin.sh: wanted a digest of $image, found '$digest'" >&2
    exit 1
    ;;
esac
