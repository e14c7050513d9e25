/** Milliseconds of the machine's monotonic clock, which all processes and namespaces share. */
export function now(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000
}
