# quizstream's binary, for every role. Built and run by docker-compose.kafka.yml.

# The toolchain of the workspace, on the Debian of the image that runs what it builds.
FROM rust:1.95.0-slim-bookworm AS build

# librdkafka is built from the source that comes with its crate, by its own configure and make, and linked in as its
# zlib is: the image that runs the binary needs no library of either.
ENV LIBZ_SYS_STATIC=1
RUN apt-get update \
 && apt-get install --yes --no-install-recommends build-essential \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /build
# Cargo wants the manifest of every member of the workspace, also of those that are not built. The pages, the two
# protocol descriptions and the sample quiz are served from the binary.
COPY Cargo.toml Cargo.lock ./
COPY schemas schemas
COPY game game
COPY stream stream
COPY store store
COPY ingest ingest
COPY workers workers
COPY projections projections
COPY bench bench
COPY tests/mongo-router tests/mongo-router
COPY web/pages web/pages
COPY samples samples
COPY docs/asyncapi.yaml docs/openapi.yaml docs/
COPY src src

# The caches outlive a change of the sources, so that only what changed is built again.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,sharing=locked \
    cargo build --release --locked --package quizstream --bin quizstream \
 && install -D target/release/quizstream /out/quizstream

FROM debian:12.12-slim

# A user that owns nothing: the roles write no file.
RUN groupadd --system --gid 10001 quizstream \
 && useradd --system --uid 10001 --gid quizstream --no-create-home --shell /usr/sbin/nologin quizstream

COPY --from=build /out/quizstream /usr/local/bin/quizstream

USER 10001:10001
# Signals go to the binary itself: the first drains, a second ends it at once.
STOPSIGNAL SIGTERM
ENTRYPOINT ["quizstream"]
CMD ["--help"]
