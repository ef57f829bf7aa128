// The name of each is its name in publisher_config.json.
export { tcp } from "./probes/tcp.ts";
