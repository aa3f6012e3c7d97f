# One build, two images. The last one is the default: every service, the load test and the lab, statically linked, on top of nothing.
# --target guests: servers of others in Debian's packages; our program `guest`, which runs each of them as a service; and the lab, which
# measures them beside the models.

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
        --bins -p loadtest -p lab -p guest $(printf -- '-p %s ' $models); \
    mkdir -p /image/bin; \
    for binary in loadtest lab $models; do cp "target/$host/release/$binary" /image/bin/; done; \
    cp "target/$host/release/guest" /; \
    mkdir -m 1777 /image/tmp /image/disk

# /disk is for a volume, which gets the mode of the folder that it is mounted on: what runs there is not root.
FROM debian:trixie-slim AS guests
# RUNLEVEL=1: Debian starts none of the services that it installs. Our program comes last, so that a change of it leaves the
# layer of the packages as it is.
RUN apt-get update \
    && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        nginx lighttpd apache2-bin busybox nodejs node-express \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && mkdir -m 1777 /disk
COPY --from=build /guest /image/bin/lab /usr/local/bin/
ENV LISTEN=0.0.0.0:8080 ADMIN=0.0.0.0:9080
USER 10001:10001
EXPOSE 8080 9080

FROM scratch
COPY --from=build /image /
# No FILES: each service makes its own in /tmp, or in /dev/shm if that is no tmpfs. Those of an image would be read through
# Docker's storage driver, which differs from machine to machine.
ENV PATH=/bin LISTEN=0.0.0.0:8080 ADMIN=0.0.0.0:9080
USER 10001:10001
EXPOSE 8080 9080
