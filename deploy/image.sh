#!/usr/bin/env bash
# Builds the image with whichever engine this machine has, and says which. `make image` calls it.
#   image.sh [NAME]           NAME is imagegate:VERSION by default
#   BASE=…                    another base image (Python 3.11 or newer with venv); default Docker Hub's python:3.11-slim;
#                             "debian" makes one with debootstrap, as root, where no registry answers
#   ENGINE=docker|podman|buildah   in place of the first that works
#   BUILD_FLAGS=…             more flags for the engine, such as --network host
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
name=${1:-imagegate:$version}
base=${BASE:-docker.io/library/python:3.11-slim}

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

# The folder $1 as the image $2.
image_of_folder() {
  if [ "$engine" = buildah ]; then
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$1" /
    buildah commit --quiet --rm "$container" "$2"
  else
    tar -C "$1" -c . | "$engine" import - "$2"
  fi >/dev/null
}

debian_base() {
  base=localhost/imagegate-base:bookworm
  if [ -n "$("$engine" images -q "$base" 2>/dev/null)" ]; then return; fi
  echo "making $base with debootstrap"
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$folder" >"$folder.log" 2>&1 ||
    { tail -5 "$folder.log" >&2 && exit 1; }
  rm -rf "$folder.log" "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/*
  image_of_folder "$folder" "$base"
}

if [ "$base" = debian ]; then debian_base; fi
flags=(--build-arg "BASE=$base" --build-arg "VERSION=$version" --build-arg "REVISION=$revision" -f deploy/Dockerfile -t "$name")
# Docker's own format is the only one that keeps HEALTHCHECK.
[ "$engine" = docker ] || flags+=(--format docker)
echo "building $name on $base with $engine"
# shellcheck disable=SC2086 # several flags are meant
if ! "$engine" build ${BUILD_FLAGS:-} "${flags[@]}" .; then
  echo "$engine could not build $name (where no registry answers: BASE=debian; another engine: ENGINE=…)" >&2
  exit 1
fi
echo "built $name with $engine"
