// The name of each is its name in publisher_config.json.
export { http } from "./probes/http.ts";
export { tcp } from "./probes/tcp.ts";
export { tls } from "./probes/tls.ts";
