/**
 * What crosses from the image of `up` that has all rights to the one that has given them up: plain data
 * in a file in memory, and descriptors that stay open.
 */
import { readFileSync, writeSync } from 'node:fs'
import type { Config } from '../config/config.js'
import { ExitCode, WhalescaleError } from '../errors.js'
import type { Resources } from '../node/agent.js'

export type Prepared = {
  readonly config: Config
  /** Lines of keys that can turn out wrong later. */
  readonly lines: { readonly interface: number; readonly listenPort: number }
  readonly resources: Resources
  /** Whether the process still holds capabilities that it does not need. */
  readonly privileged: boolean
}

type Handover = Omit<Prepared, 'resources' | 'privileged'> & {
  resources: Omit<Resources, 'presharedKeys'> & { presharedKeys: [string, number][] }
}

/** Writes everything into a descriptor; returns it and all others that must live on. */
export async function writeHandover(
  prepared: Prepared,
): Promise<{ fd: number; inherited: number[] }> {
  const { memoryFile } = await import('../libc.js')
  const { config, lines, resources } = prepared
  const handover: Handover = {
    config,
    lines,
    resources: { ...resources, presharedKeys: [...resources.presharedKeys] },
  }
  const fd = memoryFile('whalescale-handover')
  writeSync(fd, JSON.stringify(handover), 0)
  const { tun, keyFd, presharedKeys } = resources
  return { fd, inherited: [fd, tun.fd, keyFd, ...presharedKeys.values()] }
}

/** @throws WhalescaleError when the descriptor was not written by `writeHandover` */
export function readHandover(fd: number): Prepared {
  try {
    const { config, lines, resources } = JSON.parse(readFileSync(fd, 'utf8')) as Handover
    const presharedKeys = new Map(resources.presharedKeys)
    const { timestampFloor } = resources
    return {
      config,
      lines,
      resources: { ...resources, presharedKeys, timestampFloor },
      privileged: false,
    }
  } catch (error) {
    throw new WhalescaleError(`descriptor ${fd} holds nothing to start from`, {
      code: 'BadHandover',
      remedy: 'leave --handover out; it is for the program itself',
      exitCode: ExitCode.usage,
      cause: error,
    })
  }
}
