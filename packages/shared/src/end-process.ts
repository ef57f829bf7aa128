const LOOKUP = "GetAddrInfoReqWrap";

/**
 * Ends the process, now. process.exit would wait for names that are being looked up, which cannot be called off: with a
 * name server that does not answer for up to 20 s. Where that is so, the process becomes one that does nothing but end.
 */
export function endProcess(exitCode: number): never {
  if (process.execve && process.getActiveResourcesInfo().includes(LOOKUP)) {
    process.execve(process.execPath, [process.execPath, "--eval", `process.exit(${exitCode})`], {});
  }
  process.exit(exitCode);
}
