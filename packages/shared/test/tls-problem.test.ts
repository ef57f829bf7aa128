import { describe, expect, test } from "vitest";
import { isTlsFault, type ShownCertificate, tlsProblem } from "../src/tls-problem.ts";
import type { TlsSettings } from "../src/tls.ts";

const file = (path: string) => ({ path, read: () => "" });
const system: TlsSettings = { ca: undefined, cert: undefined, key: undefined, serverName: "mq.example" };
const own: TlsSettings = { ...system, ca: file("/ca.pem") };
const mutual: TlsSettings = { ...own, cert: file("/client.pem"), key: file("/client.key") };

const withCode = (code: string, rest: object = {}) => Object.assign(new Error(code), { code, ...rest });
/** As OpenSSL words it: the first number is another one in each thread. */
const openssl = (code: string, words: string) =>
  withCode(code, {
    message: `404D4C86737F0000:error:0A000418:SSL routines:ssl3_read_bytes:${words}:../rec_layer_s3.c:918:SSL alert 48`,
  });
const alert = (words: string) => openssl(`ERR_SSL_${words.toUpperCase().replaceAll(" ", "_")}`, words);
const wrongName = (cert: object) => withCode("ERR_TLS_CERT_ALTNAME_INVALID", { cert });

const shown = (subject: string, from: string, until: string): ShownCertificate => {
  return { subject, issuer: "site-ca", validFrom: new Date(from), validUntil: new Date(until) };
};
const leaf = shown("mq.example", "2026-01-01", "2027-01-01");
const earlier = shown("site-ca", "2020-01-01", "2026-06-01");
const later = shown("site-ca", "2026-11-01", "2036-01-01");

const from = "the certificate of mq:5671 is not from an authority";
const intermediate = ", or the server leaves out an intermediate certificate";
const noVersion = "mq:5671 offers no version or cipher of TLS that can be used here";

describe("a server's certificate", () => {
  test.each([
    { error: "SELF_SIGNED_CERT_IN_CHAIN", tls: own, told: `${from} in /ca.pem` },
    { error: "DEPTH_ZERO_SELF_SIGNED_CERT", tls: own, told: `${from} in /ca.pem` },
    { error: "CERT_SIGNATURE_FAILURE", tls: own, told: `${from} in /ca.pem` },
    {
      error: "SELF_SIGNED_CERT_IN_CHAIN",
      tls: system,
      told: `${from} that this system trusts, and no CA file is set`,
    },
    { error: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", tls: own, told: `${from} in /ca.pem${intermediate}` },
    { error: "UNABLE_TO_GET_ISSUER_CERT", tls: own, told: `${from} in /ca.pem${intermediate}` },
    { error: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", tls: own, told: `${from} in /ca.pem${intermediate}` },
    { error: "CERT_HAS_EXPIRED", tls: own, told: "the certificate of mq:5671 has expired" },
    {
      error: "CERT_NOT_YET_VALID",
      tls: own,
      told: "the certificate of mq:5671 is not valid yet (or this machine's clock is wrong)",
    },
    {
      error: "INVALID_PURPOSE",
      tls: own,
      told: "the certificate of mq:5671 is not accepted (INVALID_PURPOSE)",
    },
    { error: "UNSPECIFIED", tls: own, told: "the certificate of mq:5671 is not accepted (UNSPECIFIED)" },
  ])("$error: $told", ({ error, tls, told }) => {
    expect(tlsProblem(withCode(error), { at: "mq:5671", tls })).toBe(told);
  });

  test.each([
    {
      error: "SELF_SIGNED_CERT_IN_CHAIN",
      chain: [leaf, later],
      told: "the certificate of mq:5671 (issued by 'site-ca') is not from an authority in /ca.pem",
    },
    {
      error: "CERT_HAS_EXPIRED",
      chain: [leaf, later],
      told: "the certificate of mq:5671 expired at 2027-01-01T00:00:00.000Z",
    },
    {
      error: "CERT_HAS_EXPIRED",
      chain: [leaf, earlier],
      told: "the authority's certificate 'site-ca' in the chain of mq:5671 expired at 2026-06-01T00:00:00.000Z",
    },
    {
      error: "CERT_NOT_YET_VALID",
      chain: [leaf, later],
      told:
        "the authority's certificate 'site-ca' in the chain of mq:5671 is not valid before 2026-11-01T00:00:00.000Z " +
        "(or this machine's clock is wrong)",
    },
    { error: "CERT_HAS_EXPIRED", chain: [], told: "the certificate of mq:5671 has expired" },
  ])("$error is told with what the server shows: $told", ({ error, chain, told }) => {
    expect(tlsProblem(withCode(error), { at: "mq:5671", tls: own, shown: chain })).toBe(told);
  });

  test.each([
    { cert: { subjectaltname: "DNS:other, IP Address:10.0.0.7" }, names: "DNS:other, IP Address:10.0.0.7" },
    { cert: { subject: { CN: "other" } }, names: "CN:other" },
    { cert: { subject: {} }, names: "no name at all" },
    { cert: { subjectaltname: "D".repeat(10_000) }, names: "D".repeat(200) },
  ])("for another name is told with the names it has", ({ cert, names }) => {
    expect(tlsProblem(wrongName(cert), { at: "mq:5671", tls: own })).toBe(
      `the certificate of mq:5671 is not for 'mq.example' but for ${names}`,
    );
  });
});

describe("a handshake", () => {
  test.each([
    {
      error: alert("tlsv13 alert certificate required"),
      tls: own,
      told: "mq:5671 demands a client certificate, and none is set (tlsv13 alert certificate required)",
    },
    {
      error: alert("ssl/tls alert bad certificate"),
      tls: own,
      told: "mq:5671 demands a client certificate, and none is set (ssl/tls alert bad certificate)",
    },
    {
      error: alert("tlsv1 alert unknown ca"),
      tls: mutual,
      told: "mq:5671 refuses the client certificate /client.pem (tlsv1 alert unknown ca)",
    },
    {
      error: alert("ssl/tls alert certificate expired"),
      tls: mutual,
      told: "mq:5671 refuses the client certificate /client.pem (ssl/tls alert certificate expired)",
    },
    {
      error: openssl("EPROTO", "tlsv1 alert unknown ca"),
      tls: mutual,
      told: "mq:5671 refuses the client certificate /client.pem (tlsv1 alert unknown ca)",
    },
    {
      error: alert("ssl/tls alert handshake failure"),
      tls: own,
      told: `${noVersion}; or it demands a client certificate, and none is set (ssl/tls alert handshake failure)`,
    },
    {
      error: alert("tlsv1 alert protocol version"),
      tls: mutual,
      told: `${noVersion} (tlsv1 alert protocol version)`,
    },
    { error: alert("unsupported protocol"), tls: mutual, told: `${noVersion} (unsupported protocol)` },
    {
      error: alert("tlsv1 unrecognized name"),
      tls: own,
      told: "mq:5671 does not serve the name 'mq.example'",
    },
    {
      error: openssl("EPROTO", "wrong version number"),
      tls: own,
      told: "mq:5671 does not speak TLS (is it the right port?)",
    },
    {
      error: openssl("ERR_SSL_PACKET_LENGTH_TOO_LONG", "packet length too long"),
      tls: own,
      told: "mq:5671 does not speak TLS (is it the right port?)",
    },
    {
      error: withCode("ERR_OSSL_X509_KEY_VALUES_MISMATCH", {
        message: "error:05800074:x509 certificate routines::…",
      }),
      tls: mutual,
      told: "the key /client.key does not belong to the client certificate /client.pem",
    },
    {
      error: alert("tlsv1 alert internal error"),
      tls: own,
      told: "TLS with mq:5671 failed (tlsv1 alert internal error)",
    },
    {
      error: withCode("ERR_SSL_SOMETHING_NEW"),
      tls: own,
      told: "TLS with mq:5671 failed (something new)",
    },
  ])("$told", ({ error, tls, told }) => {
    expect(tlsProblem(error, { at: "mq:5671", tls })).toBe(told);
    expect(isTlsFault(error)).toBe(true);
  });

  test.each([withCode("ECONNREFUSED"), withCode("EPROTO"), new Error("oops"), "oops", undefined])(
    "is not blamed for %s",
    (error) => {
      expect(tlsProblem(error, { at: "mq:5671", tls: own })).toBeUndefined();
      expect(isTlsFault(error)).toBe(false);
    },
  );
});
