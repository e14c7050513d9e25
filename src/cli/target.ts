/** Which agent a command means, and how its answer is printed. */
import { Client } from '../api/client.js'

const defaultSocket = '/run/whalescale/whalescale.sock'

export type Target = {
  readonly config?: string | undefined
  readonly socket?: string | undefined
  readonly json: boolean
}

/** The control socket that `--socket`, `-c CONFIG` or neither names. */
export async function socketOf({ config, socket }: Target): Promise<string> {
  if (socket !== undefined) return socket
  if (config === undefined) return defaultSocket
  const { parseConfig, readConfigText } = await import('../config/load.js')
  return parseConfig(readConfigText(config), config).config.controlSocket
}

export async function clientOf(target: Target): Promise<Client> {
  return new Client(await socketOf(target))
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** One JSON document on one line. */
export function printJson(value: object): void {
  print(JSON.stringify(value))
}
