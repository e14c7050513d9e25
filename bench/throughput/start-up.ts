/**
 * Time from exec of A's agent to the first datagram answered through the tunnel, B's agent being up all along.
 */
import { fileURLToPath } from 'node:url'

import { WhalescaleError } from '#src/errors.js'
import type { LabProcess } from '#src/cli/demo/lab.js'
import { INNER, type Pair, type Tunnel } from '../peers/peer.js'
import { settle } from '../peers/settle.js'

const ECHO_PORT = 4000

/** Milliseconds, one per try. Throws `WhalescaleError` when a try gets no answer. */
export async function startUpTimes(
  pair: Pair,
  restart: NonNullable<Tunnel['restart']>,
  tries: number,
): Promise<number[]> {
  const script = fileURLToPath(new URL('./prober.js', import.meta.url))
  const prober = (role: 'echo' | 'probe'): LabProcess =>
    pair[role === 'echo' ? 'b' : 'a'].spawn(process.execPath, [
      script,
      role,
      INNER.b,
      String(ECHO_PORT),
    ])
  const ready = (process: LabProcess): Promise<void> =>
    settle('the prober', [process], () =>
      Promise.resolve(process.output().stdout.includes('ready')),
    )

  const echo = prober('echo')
  try {
    await ready(echo)
    const times: number[] = []
    for (let i = 0; i < tries; i++) {
      await restart.stopA()
      const probe = prober('probe')
      await ready(probe)
      const began = process.hrtime.bigint()
      restart.startA()
      await probe.exited
      times.push(Number(answeredAt(probe) - began) / 1e6)
    }
    return times
  } finally {
    await echo.stop()
  }
}

function answeredAt(probe: LabProcess): bigint {
  const answer = /^answered (\d+)$/m.exec(probe.output().stdout)?.[1]
  if (answer === undefined)
    throw new WhalescaleError('no answer through the restarted tunnel', { code: 'Timeout' })
  return BigInt(answer)
}
