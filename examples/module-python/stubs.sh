#!/bin/sh
# Generates the Python classes of the messages into the folder $1. Needs protoc (Debian: protobuf-compiler).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# A folder that `lynceus module new` made has the messages beside it.
proto="$here/proto"
[ -d "$proto" ] || proto="$here/../../proto/proto"
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$proto"
protoc --python_out="$out" --proto_path=. lynceus/v1/*.proto
