/** Where the local API listens, and making a path free that a killed agent left behind. */
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { ExitCode, WhalescaleError, systemCode } from '../errors.js'

/** The socket beside the control socket that answers questions but takes no orders. */
export function readOnlySocket(controlSocket: string): string {
  return `${controlSocket}.ro`
}

/** Resolves to whether somebody accepts connections there. */
function isAlive(path: string): Promise<boolean> {
  // Asking by connecting alone would do, but takes longer.
  if (!existsSync(path)) return Promise.resolve(false)
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error) => {
      const code = systemCode(error)
      if (code === 'ENOENT' || code === 'ECONNREFUSED') resolve(false)
      else reject(error)
    })
  })
}

/**
 * Makes the directory of the socket and removes sockets that nobody listens on any more.
 * @throws WhalescaleError AgentRunning when an agent answers there
 */
export async function claimSocket(controlSocket: string): Promise<void> {
  try {
    mkdirSync(dirname(controlSocket), { recursive: true, mode: 0o755 })
    if (!(await isAlive(controlSocket))) {
      rmSync(controlSocket, { force: true })
      rmSync(readOnlySocket(controlSocket), { force: true })
      return
    }
  } catch (error) {
    const denied = ['EACCES', 'EPERM'].includes(systemCode(error) ?? '')
    throw new WhalescaleError(`${controlSocket} cannot be used (${systemCode(error) ?? 'error'})`, {
      code: 'SocketUnusable',
      remedy: denied ? 'run as root, or set control_socket' : 'set another control_socket',
      exitCode: denied ? ExitCode.permission : ExitCode.failure,
      cause: error,
    })
  }
  throw new WhalescaleError(`an agent is running already at ${controlSocket}`, {
    code: 'AgentRunning',
    remedy: 'stop it with "whalescale down", or set another control_socket',
  })
}
