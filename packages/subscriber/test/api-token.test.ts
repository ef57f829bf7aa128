import { ConfigError } from "@pipeline-heartbeat/shared/config.ts";
import { describe, expect, test } from "vitest";
import { temporaryFile } from "../../../test/processes.ts";
import { readConfig } from "../src/config.ts";
import { tokenCheck } from "../src/http/api-token.ts";

const TOKEN = "hunter2-hunter2-hunter2";

/** As Node hands out what was sent: a character for each byte. */
const asHeader = (text: string) => Buffer.from(text).toString("latin1");
const basic = (pair: string) => `Basic ${Buffer.from(pair).toString("base64")}`;

describe("the Authorization header", () => {
  test.each([
    { what: "Bearer", header: `Bearer ${TOKEN}` },
    { what: "Bearer in another case", header: `bEARER ${TOKEN}` },
    { what: "Bearer after several blanks", header: `Bearer   ${TOKEN}` },
    { what: "Basic with a user", header: basic(`monitor:${TOKEN}`) },
    { what: "Basic without a user", header: basic(`:${TOKEN}`) },
    { what: "Basic in another case", header: basic(`x:${TOKEN}`).replace("Basic", "BASIC") },
    { what: "Basic without padding", header: basic(`abc:${TOKEN}`).replace(/=+$/, "") },
  ])("is right as $what", ({ header }) => {
    expect(tokenCheck(TOKEN)(header)).toBe(true);
  });

  test.each([
    "",
    "Bearer",
    "Bearer ",
    `Bearer${TOKEN}`,
    TOKEN,
    `Token ${TOKEN}`,
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(1)}`,
    `Bearer ${TOKEN.toUpperCase()}`,
    `Bearer ${TOKEN} ${TOKEN}`,
    `Bearer ${TOKEN}, Bearer ${TOKEN}`,
    `Bearer ${"x".repeat(10_000)}`,
    `Bearer ${Buffer.from(TOKEN).toString("base64")}`,
    `Basic ${TOKEN}`,
    "Basic ",
    "Basic ====",
    "Basic \u0000\u00FF!",
    basic(TOKEN),
    basic(`${TOKEN}:`),
    basic(`:${TOKEN}:`),
    basic(`:x:${TOKEN}`),
    basic(":"),
  ])("is wrong as %j", (header) => {
    expect(tokenCheck(TOKEN)(header)).toBe(false);
  });

  test.each(["a:b::c", "blåbær 心🫐", "with blanks  inside", "x".repeat(4_000), "=", "~"])(
    "carries %j either way",
    (token) => {
      const check = tokenCheck(token);
      expect(check(asHeader(`Bearer ${token}`))).toBe(true);
      expect(check(basic(`user:${token}`))).toBe(true);
      expect(check(asHeader(`Bearer ${token}.`))).toBe(false);
    },
  );
});

describe("API_TOKEN", () => {
  test.each([
    { what: "a line end", token: `${TOKEN}\nx` },
    { what: "a blank at the end", token: `${TOKEN} ` },
    { what: "a blank at the beginning", token: ` ${TOKEN}` },
    { what: "a tab", token: `${TOKEN}\t` },
    { what: "a control character", token: `${TOKEN}\u0001` },
    { what: "a control character of Latin 1", token: `${TOKEN}\u0085` },
    { what: "more than 4,000 bytes", token: "å".repeat(2_001) },
  ])("with $what could never be shown, and is a wrong configuration", ({ token }) => {
    for (const env of [{ API_TOKEN: token }, { API_TOKEN_FILE: temporaryFile("token", token) }]) {
      const read = () => readConfig(env);
      expect(read).toThrow(ConfigError);
      expect(read).toThrow("API_TOKEN: expected at most 4000 bytes of text without control characters");
      expect(read).not.toThrow("hunter2");
    }
  });

  test("that is no UTF-8 is one as well", () => {
    const file = temporaryFile("token", "");
    expect(() => readConfig({ API_TOKEN_FILE: file })).toThrow(`API_TOKEN_FILE: ${file} is empty`);
    const latin1 = temporaryFile("token", Buffer.from("bl\u00E5b\u00E6r", "latin1"));
    expect(() => readConfig({ API_TOKEN_FILE: latin1 })).toThrow("API_TOKEN: expected");
  });

  test("may be in a file, less the end of its line", () => {
    const file = temporaryFile("token", `${TOKEN}\n`);
    expect(readConfig({ API_TOKEN_FILE: file })).toMatchObject({ access: { apiToken: TOKEN }, warnings: [] });
    expect(() => readConfig({ API_TOKEN_FILE: file, API_TOKEN: TOKEN })).toThrow("keep one of the two");
  });

  test("must not be empty, and is warned about when it is short", () => {
    expect(() => readConfig({ API_TOKEN: "" })).toThrow("API_TOKEN: is empty");
    expect(readConfig({ API_TOKEN: "hunter2" }).warnings).toEqual([
      "API_TOKEN: shorter than 16 bytes, which may be guessed",
    ]);
    expect(readConfig({})).toMatchObject({ access: {}, warnings: [] });
  });
});
