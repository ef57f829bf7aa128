/** Redis's codes come first, then the words that `commandProblem` puts in the place of ioredis's. */
const KINDS: readonly (readonly [RegExp, string])[] = [
  [/\bOOM\b/, "it is out of memory"],
  [/\bREADONLY\b/, "it is a read-only replica"],
  [/\bMASTERDOWN\b/, "it is a replica that has lost its primary"],
  [/\bMISCONF\b/, "it cannot write to its disk"],
  [/\bLOADING\b/, "it is still loading its data"],
  [/\bNOREPLICAS\b/, "it has too few replicas"],
  [/\bCLUSTERDOWN\b|cluster is down|nodes of the cluster/, "its cluster is down"],
  [/\bBUSY\b/, "it is busy with a script"],
  [/\bNOPERM\b|can't (run|access)|ACL failure/, "its access rules forbid it"],
  [/\b(WRONGPASS|NOAUTH)\b/, "it refuses the login"],
  [/no answer in time/, "it does not answer"],
  [/not connected/, "there is no connection"],
];

/**
 * What ails the store, in words for everybody: its own tell names and addresses, and are for the log and /readyz.
 * @param problem as the store's methods reject with it
 */
export function storeTrouble(problem: string): string {
  return KINDS.find(([pattern]) => pattern.test(problem))?.[1] ?? "/readyz says why";
}
