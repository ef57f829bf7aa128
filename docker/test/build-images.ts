import type { TestProject } from "vitest/node";
import { dockerOutput } from "./docker.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** By service, the images under test. */
    images: Readonly<Record<"publisher" | "subscriber", string>>;
  }
}

/** Builds both images once, as the README says. */
export async function setup(project: TestProject): Promise<void> {
  // One after the other: the second one finds the first one's npm packages in the engine's cache.
  const publisher = await build("publisher");
  project.provide("images", { publisher, subscriber: await build("subscriber") });
}

/** Returns the image's id: the name may be given to another one meanwhile. */
async function build(service: string): Promise<string> {
  const image = `pipeline-heartbeat-${service}:test`;
  console.log(`building ${image}`);
  // With the machine's own network, as there are engines that give a build no other way out to the npm registry.
  const options = ["--network", "host", "--file", `docker/${service}.Dockerfile`, "--tag", image, "--quiet"];
  return await dockerOutput(["build", ...options, "."]);
}
