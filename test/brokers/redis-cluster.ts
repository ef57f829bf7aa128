import { onFreePorts } from "./free-ports.ts";
import { untilReady } from "./ready.ts";
import { redisStarter, type RedisServer } from "./redis-servers.ts";
import { started, type Started } from "./started.ts";

const SLOTS = 16_384;
const NODES = 3;

export interface ClusterNode extends RedisServer {
  /** The slots that it serves. */
  readonly slots: { readonly first: number; readonly last: number };
  /** Ends it as `kill -9` does; what it held is lost. */
  kill(): Promise<void>;
  /** Starts it again, empty, at its old address. */
  restart(): Promise<void>;
}

/** A cluster of three primaries that keeps nothing on disk. */
export async function startRedisCluster(): Promise<Started<readonly ClusterNode[]>> {
  const start = await redisStarter();
  return await onFreePorts(2 * NODES, async (ports) => {
    await using releases = new AsyncDisposableStack();
    const nodes: ClusterNode[] = [];
    for (let index = 0; index < NODES; index += 1) {
      const [port = 0, busPort = 0] = ports.slice(2 * index);
      const args = clusterArguments(busPort);
      let running = await start(port, args);
      releases.defer(() => running.stop());
      const { command } = running.address;
      const first = Math.floor((index * SLOTS) / NODES);
      const last = Math.floor(((index + 1) * SLOTS) / NODES) - 1;
      let epoch = index + 1;
      const claimSlots = async () => {
        await command("CLUSTER", "ADDSLOTSRANGE", first, last);
        // Of several nodes that claim a slot the one with the highest epoch has it.
        await command("CLUSTER", "SET-CONFIG-EPOCH", epoch);
      };
      await claimSlots();
      const restart = async () => {
        running = await start(port, args);
        epoch += 1_000;
        await claimSlots();
        await meet(index === 0 ? ports.slice(2) : ports, command);
      };
      nodes.push({ ...running.address, slots: { first, last }, kill: () => running.stop(), restart });
    }
    for (const { command } of nodes.slice(1)) await meet(ports, command);
    await untilReady({
      name: "redis cluster",
      check: () => checkAll(nodes),
      signal: never,
      withinMs: 20_000,
    });
    return started(nodes, releases);
  });
}

const never = new AbortController().signal;

function clusterArguments(busPort: number): string[] {
  const settings = {
    "cluster-enabled": "yes",
    "cluster-port": String(busPort),
    "cluster-node-timeout": "1000",
    save: "",
    appendonly: "no",
  };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}

async function meet([port = 0, busPort = 0]: number[], command: RedisServer["command"]): Promise<void> {
  await command("CLUSTER", "MEET", "127.0.0.1", port, busPort);
}

async function checkAll(nodes: readonly ClusterNode[]): Promise<void> {
  for (const { command } of nodes) {
    const info = String(await command("CLUSTER", "INFO"));
    const isReady = info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${NODES}`);
    if (!isReady) throw new Error(`the cluster is not ready yet: ${info.split("\r\n", 1)[0]}`);
  }
}
