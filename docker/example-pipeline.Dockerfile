# The parts of the example pipeline, for compose.yaml's profile: docker run … example-pipeline sda-ingest
FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
COPY packages/shared/package.json packages/shared/
COPY packages/publisher/package.json packages/publisher/
COPY packages/subscriber/package.json packages/subscriber/
RUN npm ci --ignore-scripts
COPY demo demo
# The broker's client is CommonJS and asks for Node's modules with require, which a module does not have of itself.
RUN npx esbuild demo/part.ts --bundle --platform=node --target=node24 --format=esm --outfile=dist/part.js \
  --banner:js='import { createRequire } from "node:module"; const require = createRequire(import.meta.url);'

FROM gcr.io/distroless/nodejs24-debian13:nonroot
COPY --from=build /build/dist/part.js /opt/example-pipeline/demo/part.js
# Where the source has it: beside its own folder.
COPY examples /opt/example-pipeline/examples
USER 65532:65532
ENTRYPOINT ["/nodejs/bin/node", "/opt/example-pipeline/demo/part.js"]
