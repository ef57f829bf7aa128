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
    HTTP_HOST: text(standard.host).transform(withoutBrackets),
    HTTP_PORT: port(standard.port, { least: leastPort }),
  };
}

/** An IPv6 address may be written as in a URL. */
function withoutBrackets(host: string): string {
  return host.replace(/^\[(.+)\]$/, "$1");
}
