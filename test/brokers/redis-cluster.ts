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
      let running = await start({ port, args });
      releases.defer(() => running.stop());
      const { command } = running.address;
      const first = Math.floor((index * SLOTS) / NODES);
      const last = Math.floor(((index + 1) * SLOTS) / NODES) - 1;
      let id: unknown;
      const claimSlots = async () => {
        id = await command("CLUSTER", "MYID");
        await command("CLUSTER", "ADDSLOTSRANGE", first, last);
      };
      await claimSlots();
      // Different epochs from the start: otherwise the nodes have to find them first.
      await command("CLUSTER", "SET-CONFIG-EPOCH", index + 1);
      const restart = async () => {
        running = await start({ port, args });
        const others = nodes.filter((node) => node.port !== port);
        for (const other of others) await other.command("CLUSTER", "FORGET", String(id));
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
