import { execFile } from "node:child_process";
import { chmod, chown, copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { onFreePorts } from "../brokers/free-ports.ts";
import { untilReady } from "../brokers/ready.ts";
import { startServer, temporaryFolder } from "../brokers/server-process.ts";
import type { Certificate } from "../certificates.ts";
import { postgresFolder } from "./postgres-programs.ts";

export interface PostgresOptions {
  /** Lines of pg_hba.conf: who may log in, and how. */
  readonly access: readonly string[];
  /** Run once by the superuser, each on one line. */
  readonly statements: readonly string[];
  /** Lines of postgresql.conf. */
  readonly settings?: readonly string[];
  /** With it the server offers TLS. */
  readonly tls?: { readonly server: Certificate; readonly clientCa: Certificate };
  /** Without hot standby: it says that it is in recovery, for ever. */
  readonly isStandby?: boolean;
}

export interface PostgresServer {
  readonly host: string;
  readonly port: number;
  /** Of its main process, which accepts the connections. */
  readonly pid: number;
  readonly log: () => Promise<string>;
  /** As the superuser; gives the rows, a line each. */
  readonly ask: (sql: string) => Promise<string>;
  /** Stopping twice is fine. */
  readonly stop: () => Promise<void>;
}

const HOST = "127.0.0.1";
const SUPERUSER = "administrator";
/** PostgreSQL does not run as root: then it is nobody, whose numbers these are everywhere. */
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const run = promisify(execFile);

/** A PostgreSQL of its own, in a temporary folder and at a port of 127.0.0.1. */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const programs = await postgresFolder();
  return onFreePorts(1, async ([port = 0]) => {
    await using releases = new AsyncDisposableStack();
    const folder = await temporaryFolder();
    releases.defer(folder.remove);
    if (isRoot) await chown(folder.path, NOBODY, NOBODY);
    const data = join(folder.path, "data");
    await prepare(programs, folder.path, data, port, options);

    const [program = "", ...args] = unprivileged(join(programs, "postgres"), "-D", data);
    const server = startServer({ name: "postgres", program, args, env: { LC_ALL: "C" } }, folder);
    const { pid } = server;
    releases.defer(async () => {
      if (pid !== undefined) await quit(pid, server.failed);
      await server.stop();
    });
    if (pid === undefined) return await server.failed;

    const log = () => readFile(join(folder.path, "postgres.log"), "utf8");
    // It listens before it is ready, and a standby is never ready.
    const words = options.isStandby ? "entering standby mode" : "ready to accept connections";
    const check = async () => {
      if (!(await log()).includes(words)) throw new Error(`no "${words}" in the log yet`);
    };
    const { signal } = new AbortController();
    await untilReady({ name: "postgres", check, signal, failed: server.failed, logTail: server.logTail });

    const owned = releases.move();
    let stopping: Promise<void> | undefined;
    return {
      host: HOST,
      port,
      pid,
      log,
      ask: async (sql) => {
        const to = ["-h", folder.path, "-p", String(port), "-U", SUPERUSER, "-d", "postgres"];
        const options = ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql];
        const { stdout } = await run(join(programs, "psql"), [...to, ...options]);
        return stdout.trim();
      },
      stop: () => (stopping ??= owned.disposeAsync()),
    };
  });
}

async function prepare(
  programs: string,
  folder: string,
  data: string,
  port: number,
  { access, statements, settings = [], tls, isStandby }: PostgresOptions,
): Promise<void> {
  const initdb = ["-D", data, "-U", SUPERUSER, "-E", "UTF8", "--locale=C", "--auth=reject", "--no-sync"];
  await runIn(folder, unprivileged(join(programs, "initdb"), ...initdb));
  const lines = [
    `port = ${port}`,
    `listen_addresses = '${HOST}'`,
    `unix_socket_directories = '${folder}'`,
    "fsync = off",
    "log_connections = on",
    ...(isStandby ? ["hot_standby = off"] : []),
    ...(tls
      ? [
          "ssl = on",
          `ssl_cert_file = '${await handedOver(tls.server.certPath, folder, "server.crt")}'`,
          `ssl_key_file = '${await handedOver(tls.server.keyPath, folder, "server.key")}'`,
          `ssl_ca_file = '${await handedOver(tls.clientCa.certPath, folder, "clients.crt")}'`,
        ]
      : []),
    ...settings,
  ];
  await writeFile(join(data, "postgresql.auto.conf"), `${lines.join("\n")}\n`);
  // The socket is in a folder that nobody else can read.
  await writeFile(join(data, "pg_hba.conf"), ["local all all trust", ...access, ""].join("\n"));
  const single = unprivileged(join(programs, "postgres"), "--single", "-D", data, "postgres");
  await runIn(folder, single, statements.map((statement) => `${statement}\n`).join(""));
  if (isStandby) await writeFile(join(data, "standby.signal"), "");
}

/** A copy that the server may read: of its key it demands that it is its own. */
async function handedOver(path: string, folder: string, name: string): Promise<string> {
  const copy = join(folder, name);
  await copyFile(path, copy);
  await chmod(copy, 0o600);
  if (isRoot) await chown(copy, NOBODY, NOBODY);
  return copy;
}

function unprivileged(...command: readonly string[]): readonly string[] {
  const ids = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
  return isRoot ? ["/usr/bin/setpriv", ...ids, ...command] : command;
}

async function runIn(folder: string, [program = "", ...args]: readonly string[], input = ""): Promise<void> {
  const running = run(program, args, { cwd: folder, env: { LC_ALL: "C" } });
  running.child.stdin?.end(input);
  await running;
}

/** At once, but not by SIGKILL, after which its processes and its shared memory would stay for a while. */
async function quit(pid: number, ended: Promise<never>): Promise<void> {
  try {
    process.kill(pid, "SIGQUIT");
    process.kill(pid, "SIGCONT");
  } catch {
    // It has ended already.
  }
  await ended.catch(() => {});
}
