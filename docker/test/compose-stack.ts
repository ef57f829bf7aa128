import { randomBytes } from "node:crypto";
import type { Health } from "../../demo/health.ts";
import { dockerOutput } from "./docker.ts";

const BUILT = {
  PUBLISHER_IMAGE: "pipeline-heartbeat-publisher",
  SUBSCRIBER_IMAGE: "pipeline-heartbeat-subscriber",
  EXAMPLE_PIPELINE_IMAGE: "pipeline-heartbeat-example-pipeline",
};

/** Prints `open` when something listens there, `silent` when nothing answers, else the error's code. */
export function connectScript(host: string, port: number): string {
  return `const tell = (what) => { console.log(what); process.exit() };
    require("net").connect(${port}, "${host}", () => tell("open")).on("error", (error) => tell(error.code));
    setTimeout(tell, 3_000, "silent")`;
}

/** What of /health a whole stack is judged by. */
export function summary({ code, problems, sites }: Health) {
  return { code, problems, sites: sites.map(({ site }) => site).toSorted() };
}

/** The stack of compose.yaml under a name of its own, with images and ports that nobody else uses. Starts nothing. */
export function composeStack({ overlays = [] }: { overlays?: readonly string[] } = {}) {
  const project = `heartbeat-compose-test-${randomBytes(4).toString("hex")}`;
  const files = ["compose.yaml", ...overlays].flatMap((file) => ["--file", `docker/${file}`]);
  const images = Object.entries(BUILT).map(([variable, name]) => [variable, `${name}:${project}`] as const);
  const env = {
    ...Object.fromEntries(images),
    COMPOSE_PROJECT_NAME: project,
    // Any that is free; it may be another one after a restart.
    HEALTH_PORT: "0",
    MANAGEMENT_PORT: "0",
    MANAGEMENT_TLS_PORT: "0",
  };

  async function compose(...args: readonly string[]): Promise<string> {
    return await dockerOutput(["compose", ...files, ...args], env);
  }

  async function container(service: string): Promise<string> {
    return await compose("ps", "--quiet", service);
  }

  /** Where a port of a service is published: host and port. */
  async function address(service: string, port: number): Promise<string> {
    return await compose("port", service, String(port));
  }

  return {
    compose,
    container,
    address,
    /** Of the subscriber. */
    async url(): Promise<string> {
      return `http://${await address("subscriber", 8080)}`;
    },
    async inspect(service: string) {
      return JSON.parse(await dockerOutput(["inspect", await container(service)]))[0];
    },
    /** What a script prints that one of our services' Node runs in its container. */
    async node(service: string, script: string): Promise<string> {
      return await dockerOutput(["exec", await container(service), "/nodejs/bin/node", "-e", script]);
    },
    /** Containers, networks and volumes that are there, by name. */
    async remains(): Promise<string[]> {
      const filter = ["--filter", `label=com.docker.compose.project=${project}`];
      const lists = await Promise.all([
        dockerOutput(["ps", "--all", "--format", "{{.Names}}", ...filter]),
        dockerOutput(["network", "ls", "--format", "{{.Name}}", ...filter]),
        dockerOutput(["volume", "ls", "--format", "{{.Name}}", ...filter]),
      ]);
      return lists.flatMap((list) => list.split("\n")).filter((name) => name !== "");
    },
    /** Takes everything away, the images too. */
    async remove(): Promise<void> {
      await compose("--profile", "pipeline", "down", "--volumes");
      await dockerOutput(["rmi", "--force", ...images.map(([, image]) => image)]);
    },
  };
}
