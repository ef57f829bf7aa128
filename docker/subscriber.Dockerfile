# Build from the repository's root: docker build -f docker/subscriber.Dockerfile -t pipeline-heartbeat-subscriber .
FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
COPY packages/shared/package.json packages/shared/
COPY packages/publisher/package.json packages/publisher/
COPY packages/subscriber/package.json packages/subscriber/
RUN npm ci --ignore-scripts
COPY tools tools
COPY packages packages
RUN node tools/build.ts subscriber

FROM gcr.io/distroless/nodejs24-debian13:nonroot
# Outside /app, over which upstream's deployments mount a volume.
COPY --from=build /build/packages/subscriber/dist/main.js /opt/pipeline-heartbeat/main.js
ENTRYPOINT ["/nodejs/bin/node", "/opt/pipeline-heartbeat/main.js"]
