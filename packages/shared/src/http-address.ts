import { port, text } from "./config.ts";

/** Where a service answers HTTP. */
export interface HttpAddress {
  /** A name or an address, of IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** HTTP_HOST and HTTP_PORT for parseConfig. Where `leastPort` is 0, that port means: nowhere. */
export function httpVariables(standard: HttpAddress, { leastPort = 1 } = {}) {
  return {
    HTTP_HOST: text(standard.host).transform(listenable),
    HTTP_PORT: port(standard.port, { least: leastPort }),
  };
}

/**
 * An IPv6 address may be written as in a URL. The name localhost stands for two addresses, of which a server would take
 * whichever comes first on this machine: who asks by name finds this one.
 */
function listenable(host: string): string {
  return host === "localhost" ? "127.0.0.1" : host.replace(/^\[(.+)\]$/, "$1");
}
