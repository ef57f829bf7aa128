// The name of each is its name in publisher_config.json.
export { http } from "./probes/http.ts";
export { grpc } from "./probes/grpc.ts";
export { redis } from "./probes/redis.ts";
export { tcp } from "./probes/tcp.ts";
export { consumers } from "./probes/attached.ts";
export { broker } from "./probes/broker.ts";
export { federation } from "./probes/federation.ts";
export { shovel } from "./probes/shovel.ts";
export { queue } from "./probes/queue.ts";
export { deadLetter } from "./probes/dead-letter.ts";
export { tls } from "./probes/tls.ts";
export { postgres } from "./probes/postgres.ts";
export { disk } from "./probes/disk.ts";
