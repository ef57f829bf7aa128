import { isIPv6 } from "node:net";

export interface Address {
  /** A name or an address, an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** `host`, `host:port`, `[IPv6]` or `[IPv6]:port`; undefined when it is something else. */
export function parseAddress<P extends number | undefined>(text: string, standardPort: P) {
  const [, inBrackets, name, digits] = /^(?:\[(.+)\]|([^\s:/@[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = inBrackets ?? name;
  const port = digits === undefined ? standardPort : Number(digits);
  if (host === undefined || (port !== undefined && (port < 1 || 65_535 < port))) return undefined;
  return inBrackets === undefined || isIPv6(inBrackets) ? { host, port } : undefined;
}

/** As in a URL. */
export function addressText({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
