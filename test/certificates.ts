import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Paths of PEM files. The key is not encrypted. */
export interface Certificate {
  readonly certPath: string;
  readonly keyPath: string;
}

export interface Subject {
  /** Becomes the common name and the names of the files: letters, digits, dots and hyphens. */
  readonly name: string;
  /** As OpenSSL writes them: `DNS:mq.example`, `IP:127.0.0.1`. */
  readonly altNames?: readonly string[];
  /** By default since yesterday, for a year. */
  readonly validFrom?: Date;
  readonly validUntil?: Date;
}

export interface Authority extends Certificate {
  /** For servers and for clients. */
  issue(subject: Subject): Certificate;
  /** An intermediate authority. Its certificates' files hold its own, too: the chain that a server has to send. */
  issueAuthority(subject: Subject): Authority;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const IS_AUTHORITY = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"];

/** A new authority that nobody knows, in a folder of its own inside `folder`. Needs the program `openssl`. */
export function createAuthority(folder: string, subject: Subject): Authority {
  const own = join(folder, subject.name);
  mkdirSync(own, { recursive: true });
  writeFileSync(join(own, "index.txt"), "");
  writeFileSync(join(own, "openssl.cnf"), CONFIGURATION);
  const files = request(own, subject, IS_AUTHORITY);
  sign(own, subject, files, ["-selfsign", "-keyfile", files.keyPath]);
  return authority(own, files, "");
}

function authority(folder: string, files: Certificate, chain: string): Authority {
  function issueIn(own: string, subject: Subject, extensions: readonly string[]): Certificate {
    const issued = request(own, subject, extensions);
    sign(folder, subject, issued, ["-keyfile", files.keyPath, "-cert", files.certPath]);
    return issued;
  }
  return {
    ...files,
    issue(subject) {
      const issued = issueIn(folder, subject, []);
      appendFileSync(issued.certPath, chain);
      return issued;
    },
    issueAuthority(subject) {
      const own = join(folder, subject.name);
      mkdirSync(own);
      writeFileSync(join(own, "index.txt"), "");
      writeFileSync(join(own, "openssl.cnf"), CONFIGURATION);
      const issued = issueIn(own, subject, IS_AUTHORITY);
      return authority(own, issued, openssl(own, ["x509", "-in", issued.certPath]) + chain);
    },
  };
}

/** `openssl x509` of version 3.0 cannot set dates, `openssl ca` can: hence its database. */
const CONFIGURATION = `
[req]
distinguished_name = name
[name]
[ca]
default_ca = authority
[authority]
database = index.txt
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = policy
copy_extensions = copy
[policy]
commonName = supplied
`;

function request(folder: string, { name, altNames = [] }: Subject, extensions: readonly string[]) {
  const files = { certPath: join(folder, `${name}.crt`), keyPath: join(folder, `${name}.key`) };
  const altName = altNames.length > 0 ? [`subjectAltName=${altNames.join(",")}`] : [];
  const added = [...extensions, ...altName].flatMap((extension) => ["-addext", extension]);
  const key = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-keyout",
    files.keyPath,
  ];
  const subject = ["-subj", `/CN=${name}`, "-out", `${files.certPath}.request`];
  openssl(folder, ["req", "-new", "-config", "openssl.cnf", ...key, ...subject, ...added]);
  return files;
}

function sign(folder: string, subject: Subject, { certPath }: Certificate, signer: readonly string[]): void {
  const { validFrom = new Date(Date.now() - DAY_MS), validUntil = new Date(Date.now() + 365 * DAY_MS) } =
    subject;
  const dates = ["-startdate", opensslDate(validFrom), "-enddate", opensslDate(validUntil)];
  const files = ["-in", `${certPath}.request`, "-out", certPath];
  openssl(folder, ["ca", "-batch", "-notext", "-config", "openssl.cnf", ...signer, ...dates, ...files]);
}

/** Such as 20261122103506Z. */
function opensslDate(date: Date): string {
  return date.toISOString().replace(/\.\d+|[-:T]/g, "");
}

function openssl(folder: string, args: readonly string[]): string {
  return execFileSync("openssl", args, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}
