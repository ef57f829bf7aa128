// The name of each is its name in publisher_config.json.
export { tcp } from "./probes/tcp.ts";
export { queue } from "./probes/queue.ts";
export { deadLetter } from "./probes/dead-letter.ts";
