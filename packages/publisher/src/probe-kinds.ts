// The name of each is its name in publisher_config.json.
export { grpc } from "./probes/grpc.ts";
export { redis } from "./probes/redis.ts";
export { tcp } from "./probes/tcp.ts";
