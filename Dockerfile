# One build, one image: every service and the load test, statically linked, on top of nothing.

# The workspace's rust-version in Cargo.toml; containers/check compares them.
ARG RUST_VERSION=1.95
FROM rust:${RUST_VERSION}-slim AS build
WORKDIR /src
COPY . .
# What results.json says the programs were built of: there is no git here.
ARG SOURCE_COMMIT
# With a target named, crt-static is for our binaries alone; without one, proc-macros would get it too, and fail.
RUN --mount=type=cache,target=/usr/local/cargo/registry,id=io-models-registry \
    --mount=type=cache,target=/src/target,id=io-models-target,sharing=locked \
    set -eu; \
    host=$(rustc -vV | sed -n 's/^host: //p'); \
    models=$(cd services && ls); \
    export CARGO_PROFILE_RELEASE_STRIP=debuginfo RUSTFLAGS='-C target-feature=+crt-static'; \
    cargo build --release --locked --target "$host" \
        --bins -p loadtest $(printf -- '-p %s ' $models); \
    mkdir -p /image/bin; \
    for binary in loadtest $models; do cp "target/$host/release/$binary" /image/bin/; done; \
    mkdir -m 1777 /image/tmp

FROM scratch
COPY --from=build /image /
# No FILES: each service makes its own in /tmp, or in /dev/shm if that is no tmpfs. Those of an image would be read through
# Docker's storage driver, which differs from machine to machine.
ENV PATH=/bin LISTEN=0.0.0.0:8080 ADMIN=0.0.0.0:9080
USER 10001:10001
EXPOSE 8080 9080
