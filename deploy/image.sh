#!/usr/bin/env bash
# Builds the image with whichever engine this machine has, and says which. `make image` calls it.
#   image.sh [NAME]           NAME is imagegate:VERSION by default
#   BASE=…                    another base image (Python 3.11 or newer with venv); default python:3.11-slim
#   ENGINE=docker|podman|buildah   in place of the first that works
#   BUILD_FLAGS=…             more flags for the engine, such as --network host
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
name=${1:-imagegate:$version}
base=${BASE:-python:3.11-slim}

works() {
  case $1 in
    docker) docker info ;;
    *) "$1" --version ;;
  esac >/dev/null 2>&1
}

engine=${ENGINE:-}
if [ -z "$engine" ]; then
  for candidate in docker podman buildah; do
    if works "$candidate"; then engine=$candidate && break; fi
  done
fi
if [ -z "$engine" ]; then
  echo "no engine that builds images works here; install docker, podman or buildah (Debian: apt-get install buildah)" >&2
  exit 2
fi

flags=(--build-arg "BASE=$base" --build-arg "VERSION=$version" --build-arg "REVISION=$revision" -f deploy/Dockerfile -t "$name")
# Docker's own format is the only one that keeps HEALTHCHECK.
[ "$engine" = docker ] || flags+=(--format docker)
echo "building $name on $base with $engine"
# shellcheck disable=SC2086 # several flags are meant
"$engine" build ${BUILD_FLAGS:-} "${flags[@]}" .
echo "built $name with $engine"
