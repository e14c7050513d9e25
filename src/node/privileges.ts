/**
 * Giving up root. Capabilities belong to threads and Node has several before any JavaScript runs, so
 * they cannot be dropped in place: the bounding set is cut on the main thread and the program replaces
 * itself. Every thread of the new image has the needed capabilities and no way to gain others.
 */
import { readFileSync } from 'node:fs'
import { ExitCode, WhalescaleError, messageOf } from '../errors.js'

/** linux/capability.h, as bits */
const CAP_SETPCAP = 1n << 8n
const CAP_NET_BIND_SERVICE = 1n << 10n
const CAP_NET_ADMIN = 1n << 12n
/** linux/prctl.h */
const PR_CAPBSET_DROP = 24
const PR_SET_NO_NEW_PRIVS = 38
/** Ports below this need CAP_NET_BIND_SERVICE (ip_unprivileged_port_start, by default). */
const firstFreePort = 1024

/** Node marks even these to be closed on execution (uv_disable_stdio_inheritance). */
const standardStreams = [0, 1, 2]

/** Node reads all root certificates at its start where this is set; the agent speaks no TLS. */
const unneeded: ReadonlySet<string> = new Set(['NODE_EXTRA_CA_CERTS'])

export type CapabilitySets = {
  readonly effective: bigint
  readonly permitted: bigint
  readonly inheritable: bigint
  readonly bounding: bigint
}

/** Reads the sets out of the text of a `/proc/.../status` file. */
export function capabilitiesIn(status: string): CapabilitySets {
  const set = (name: string): bigint =>
    BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`)
  return {
    effective: set('CapEff'),
    permitted: set('CapPrm'),
    inheritable: set('CapInh'),
    bounding: set('CapBnd'),
  }
}

/** What the agent needs to run with this UDP port. */
export function neededCapabilities(listenPort: number): bigint {
  const privileged = listenPort > 0 && listenPort < firstFreePort
  return privileged ? CAP_NET_ADMIN | CAP_NET_BIND_SERVICE : CAP_NET_ADMIN
}

function ownCapabilities(): CapabilitySets {
  return capabilitiesIn(readFileSync('/proc/thread-self/status', 'utf8'))
}

/**
 * Whether this process holds more than it needs.
 * @throws WhalescaleError NoPermission when it holds less
 */
export function holdsTooMuch(needed: bigint, sets: CapabilitySets = ownCapabilities()): boolean {
  if ((sets.effective & needed) !== needed) {
    throw new WhalescaleError('the agent may not administer the network', {
      code: 'NoPermission',
      remedy: 'run as root, or give it CAP_NET_ADMIN',
      exitCode: ExitCode.permission,
    })
  }
  return (sets.permitted & ~needed) !== 0n
}

/** Replaces this process by the same program with `extraArgument` and no capability but the needed. */
export async function reexecuteWith(
  needed: bigint,
  inherited: readonly number[],
  extraArgument: string,
): Promise<never> {
  const libc = await import('../libc.js')
  const sets = ownCapabilities()
  try {
    if ((sets.effective & CAP_SETPCAP) !== 0n) {
      for (let bit = 0n; sets.bounding >> bit !== 0n; bit += 1n) {
        const excess = (sets.bounding & ~needed & (1n << bit)) !== 0n
        if (excess) libc.prctl(PR_CAPBSET_DROP, Number(bit))
      }
    } else if ((sets.bounding & ~needed) !== 0n && process.geteuid?.() === 0) {
      throw new Error('CAP_SETPCAP is missing')
    }
    // What is not inheritable cannot be ambient either; as root only the bounding set counts then.
    libc.capset(sets.effective, sets.permitted, sets.inheritable & needed)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1)
    for (const fd of [...standardStreams, ...inherited]) libc.keepAcrossExec(fd)
  } catch (error) {
    throw new WhalescaleError(`root cannot be given up: ${messageOf(error)}`, {
      code: 'PrivilegesKept',
      remedy: 'start the agent with CAP_NET_ADMIN only, or as full root',
      exitCode: ExitCode.permission,
      cause: error,
    })
  }
  const args = [process.execPath, ...process.execArgv, ...process.argv.slice(1), extraArgument]
  const env = Object.entries(process.env)
    .filter(([name]) => !unneeded.has(name))
    .map(([name, value]) => `${name}=${value ?? ''}`)
  return libc.execve(process.execPath, args, env)
}
