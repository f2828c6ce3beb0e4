# syntax=docker/dockerfile:1
# One image for all parts; the command says which one runs (see compose.yaml).

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
# The caches outlive the layer, the folder target does not: what is built is copied out of it at once.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --workspace --bins \
    && install -D --target-directory=/programs \
        target/release/millrace-gateway target/release/millrace-worker target/release/millrace-sandbox

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 millrace \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin millrace \
    && install -d -o millrace -g millrace /data /data/documents
COPY --from=build /programs/ /usr/local/bin/
# By number: Kubernetes' runAsNonRoot knows no names.
USER 10001:10001
WORKDIR /data
EXPOSE 8080 9090 9091
CMD ["millrace-gateway"]
