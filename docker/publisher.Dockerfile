# Build from the repository's root: docker build -f docker/publisher.Dockerfile -t pipeline-heartbeat-publisher .
FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
COPY packages/shared/package.json packages/shared/
COPY packages/publisher/package.json packages/publisher/
COPY packages/subscriber/package.json packages/subscriber/
RUN npm ci --ignore-scripts
COPY tools tools
COPY packages packages
RUN node tools/build.ts publisher

FROM gcr.io/distroless/nodejs24-debian13:nonroot
LABEL org.opencontainers.image.title="pipeline-heartbeat-publisher" \
      org.opencontainers.image.description="Probes a pipeline's components and publishes heartbeats over RabbitMQ" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="gcr.io/distroless/nodejs24-debian13:nonroot"
# Outside /app, over which upstream's deployments mount a volume.
COPY --from=build /build/packages/publisher/dist/main.js /opt/pipeline-heartbeat/main.js
# What sockets read comes in pieces of 64 KiB: each is given back when it is free, or a flood of them would stay for good.
ENV MALLOC_MMAP_THRESHOLD_=65536
# As a number: Kubernetes cannot tell of a name that it is not root's.
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 \
  CMD ["/nodejs/bin/node", "/opt/pipeline-heartbeat/main.js", "healthcheck"]
ENTRYPOINT ["/nodejs/bin/node", "/opt/pipeline-heartbeat/main.js"]
