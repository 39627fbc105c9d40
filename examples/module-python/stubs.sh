#!/bin/sh
# Generates the Python classes of the messages into the folder $1. Needs protoc (Debian: protobuf-compiler).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
proto="$here/../../proto/proto"
mkdir -p "$1"
cd "$proto"
protoc --python_out="$1" --proto_path=. lynceus/v1/*.proto
