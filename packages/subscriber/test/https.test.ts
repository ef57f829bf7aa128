import { once } from "node:events";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { readConfig } from "../src/config.ts";
import { issue, newAuthority, secureApp } from "./secure-app.ts";

describe("with a certificate", () => {
  test("every path is HTTPS, and browsers are told to stay with it", async () => {
    const { ask } = await secureApp();
    for (const path of ["/livez", "/readyz", "/health", "/heartbeat", "/metrics"]) {
      const { statusCode, headers } = await ask(path);
      expect(statusCode).toBe(200);
      expect(headers["strict-transport-security"]).toBe("max-age=15552000");
    }
  });

  test("TLS is 1.2 or 1.3", async () => {
    const { ask } = await secureApp();
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const { statusCode } = await ask("/livez", { minVersion: version, maxVersion: version });
      expect(statusCode).toBe(200);
    }
    const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" } as const;
    await expect(ask("/livez", old)).rejects.toThrow("protocol version");
  });

  test("a renewed one is used without a restart, one that lacks its key is not", async () => {
    const { authority, install, lines, ask } = await secureApp();
    expect((await ask("/livez")).name).toBe("first");
    install(issue(authority, "second"));
    await expect.poll(async () => (await ask("/livez")).name, { timeout: 5_000 }).toBe("second");

    const third = issue(authority, "third");
    install(third, ["certPath"]);
    await vi.waitFor(
      async () => {
        expect(await ask("/livez")).toMatchObject({ statusCode: 200, name: "second" });
        expect(lines.join("")).toContain("do not belong together");
      },
      { timeout: 5_000 },
    );
    install(third, ["keyPath"]);
    await expect.poll(async () => (await ask("/livez")).name, { timeout: 5_000 }).toBe("third");
    expect((await ask("/livez", { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" })).statusCode).toBe(200);
    await expect(
      ask("/livez", { maxVersion: "TLSv1.1", minVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" }),
    ).rejects.toThrow("protocol version");
    expect(lines.map((line) => JSON.parse(line).level)).toEqual([30, 40, 30]);
  });

  test("who speaks no TLS, or stops in the middle of it, harms nobody and fills no log", async () => {
    const { host, port, lines, ask } = await secureApp();
    const words = [
      "GET /health HTTP/1.1\r\nhost: a\r\n\r\n",
      "\u0016\u0003\u0001\u0002\u0000\u0001",
      "\0".repeat(500),
    ];
    await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const socket = net.connect({ host, port });
        socket.on("error", () => {}); // a reset is an end as well
        await once(socket, "connect");
        socket.write(words[index % words.length] ?? "");
        await sleep(index);
        socket.destroy();
      }),
    );
    await expect(ask("/livez", { ca: [] })).rejects.toThrow("certificate");
    expect((await ask("/livez")).statusCode).toBe(200);
    expect(lines).toEqual([]);
  });

  test("a stop ends a handshake at once", async () => {
    const { app, host, port } = await secureApp();
    const connected = once(app.server, "connection");
    const socket = net.connect({ host, port });
    socket.on("error", () => {}); // a reset is an end as well
    const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    await connected;
    const startedMs = performance.now();
    await app.close();
    await ended;
    expect(performance.now() - startedMs).toBeLessThan(1_000);
  });

  test("many connections cost an address its oldest ones only", async () => {
    const { host, port, ask } = await secureApp();
    const newest = () => {
      const socket = tls.connect({ host, port, rejectUnauthorized: false });
      socket.on("error", () => {}); // a reset is what the oldest get
      onTestFinished(() => void socket.destroy());
      return socket;
    };
    const oldest = newest();
    await once(oldest, "secureConnect");
    const others = Array.from({ length: 270 }, newest);
    const last = newest();
    await once(last, "secureConnect");
    expect((await ask("/readyz")).statusCode).toBe(200);
    await vi.waitFor(() => expect(oldest.destroyed).toBe(true));
    expect(others.filter(({ destroyed }) => destroyed).length).toBeLessThan(30);
    expect(last.destroyed).toBe(false);
  });
});

test("the files are both or neither, and belong together", () => {
  const authority = newAuthority();
  const [one, other] = [issue(authority, "one"), issue(authority, "other")];
  const [HTTP_TLS_CERT_PATH, HTTP_TLS_KEY_PATH] = [one.certPath, one.keyPath];
  const both = "HTTP_TLS_CERT_PATH, HTTP_TLS_KEY_PATH: set both or neither";
  expect(() => readConfig({ HTTP_TLS_CERT_PATH })).toThrow(both);
  expect(() => readConfig({ HTTP_TLS_KEY_PATH })).toThrow(both);
  expect(() => readConfig({ HTTP_TLS_CERT_PATH, HTTP_TLS_KEY_PATH: other.keyPath })).toThrow(
    `HTTP_TLS_KEY_PATH: ${other.keyPath} does not belong to`,
  );
  expect(() => readConfig({ HTTP_TLS_CERT_PATH: one.keyPath, HTTP_TLS_KEY_PATH })).toThrow(
    "holds no certificate",
  );
  expect(readConfig({ HTTP_TLS_CERT_PATH: "", HTTP_TLS_KEY_PATH: "" }).access.tls).toBeUndefined();
});
