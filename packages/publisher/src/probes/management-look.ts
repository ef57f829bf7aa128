import type { Look, Observation } from "../probe.ts";
import { ManagementError } from "./management.ts";

/** A look that asks the management API: where that gives no answer, nothing is known. */
export function managementLook(look: (signal: AbortSignal) => Promise<Observation>): Look {
  return async (signal) => {
    try {
      return await look(signal);
    } catch (error) {
      if (!(error instanceof ManagementError)) throw error;
      return { state: "unknown", reason: error.reason, detail: error.message };
    }
  };
}
