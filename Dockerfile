# One static binary in an otherwise empty image.
#
#   docker build --build-arg TIDEGATE_REVISION="$(git rev-parse HEAD)" -t tidegate .
#   docker run --rm -p 8081:8080 -e PORT=8080 -e SERVER_ID=A tidegate           the original's backend-server
#   docker run --rm -p 9090:9090 tidegate proxy --backend 10.0.0.1:8080,10.0.0.2:8080

FROM rust:1.89-alpine AS build
WORKDIR /src
# There is no repository in here to ask.
ARG TIDEGATE_REVISION=""
COPY . .
# musl is linked statically on this target; the symbols are of use to a profiler only.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked && strip -o /tidegate target/release/tidegate
RUN /tidegate --version && mkdir /empty

FROM scratch
COPY --from=build /tidegate /tidegate
# The one place it may write to, for request logs: mount something here to keep them.
COPY --from=build --chown=65532:65532 /empty /logs
# Loopback would be the container's own. The admin address stays there: on another it wants a token (see packaging/).
ENV TIDEGATE_LISTEN=0.0.0.0:9090 TIDEGATE_LISTEN_IP=0.0.0.0 TIDEGATE_LOG=none
EXPOSE 9090 8080
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/tidegate"]
# With PORT and SERVER_ID and no more it is what the original's image was.
CMD ["backend"]
