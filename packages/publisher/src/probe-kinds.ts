// The name of each is its name in publisher_config.json.
export { tcp } from "./probes/tcp.ts";
export { tls } from "./probes/tls.ts";
