import { errorCode } from "./error-code.ts";

/** Why there is no connection to `host:port`, in one line for the operator. */
export function connectionProblem(error: unknown, host: string, port: number): string {
  const at = `${host}:${port}`;
  switch (errorCode(error)) {
    case "ECONNREFUSED":
      return `nothing listens at ${at} (connection refused)`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `the name ${host} cannot be resolved`;
    case "ETIMEDOUT":
      return `${at} does not answer`;
    case "ECONNRESET":
      return `${at} reset the connection (is it the right port, with TLS on both sides or on neither?)`;
    default:
      return `${at}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
