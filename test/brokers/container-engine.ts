import { existsSync } from "node:fs";
import http from "node:http";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";

const ANSWER_WITHIN_MS = 2_000;

/**
 * Whether a container engine answers where testcontainers will look for one. Asked before testcontainers is loaded,
 * which takes longer than all the rest when there is none.
 */
export async function engineAnswers(env: Readonly<Record<string, string | undefined>>): Promise<boolean> {
  const { DOCKER_HOST, DOCKER_TLS_VERIFY } = env;
  if (!DOCKER_HOST) {
    const socketPath = socketPaths(env).find((path) => existsSync(path));
    return socketPath !== undefined && ping({ socketPath });
  }
  // Asking over TLS takes certificates that only testcontainers collects.
  if (DOCKER_TLS_VERIFY) return true;
  const { protocol, hostname, port, pathname } = new URL(DOCKER_HOST);
  if (protocol === "unix:") return ping({ socketPath: pathname });
  return protocol === "tcp:" && ping({ host: hostname, port });
}

function socketPaths({ XDG_RUNTIME_DIR }: Readonly<Record<string, string | undefined>>): string[] {
  return [
    "/var/run/docker.sock",
    ...(XDG_RUNTIME_DIR ? [join(XDG_RUNTIME_DIR, "docker.sock")] : []),
    join(homedir(), ".docker", "run", "docker.sock"),
    join(homedir(), ".docker", "desktop", "docker.sock"),
    `/run/user/${userInfo().uid}/docker.sock`,
  ];
}

async function ping(engine: http.RequestOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
    http
      .get({ ...engine, path: "/_ping", agent: false, signal }, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      })
      .on("error", () => resolve(false));
  });
}
