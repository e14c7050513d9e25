/** What the agent logs to: a subset of pino's interface, so that tests can keep lines in memory. */
export type Log = Record<
  'debug' | 'info' | 'warn' | 'error',
  (fields: Readonly<Record<string, unknown>>, message: string) => void
>
