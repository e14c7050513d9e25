/** `whalescale ping`: asks a peer's agent for answers through the tunnel, and shows the way they took. */
import { setTimeout as delay } from 'node:timers/promises'
import { ExitCode, WhalescaleError } from '../../errors.js'
import type { PingReply } from '../../node/pings.js'
import { schemaVersion } from '../../node/views.js'
import { clientOf, print, printJson } from '../target.js'
import type { Target } from '../target.js'

const intervalMs = 1000

function lineOf(peer: string, sequence: number, reply: PingReply | null): string {
  if (reply === null) return `no answer from ${peer}: seq=${sequence}`
  const way = reply.kind === 'direct' ? 'direct, at' : 'relayed by'
  return `answer from ${peer}: seq=${sequence} time=${reply.rttMs.toFixed(3)} ms (${way} ${reply.remote})`
}

function summaryOf(replies: readonly (PingReply | null)[]): string {
  const times = replies.flatMap((reply) => (reply === null ? [] : [reply.rttMs]))
  const counts = `${replies.length} sent, ${times.length} answered`
  if (times.length === 0) return counts
  const mean = times.reduce((sum, time) => sum + time, 0) / times.length
  const spread = [Math.min(...times), mean, Math.max(...times)].map((time) => time.toFixed(3))
  return `${counts}, rtt min/avg/max ${spread.join('/')} ms`
}

/** Exit code `unreachable` when nothing was answered. */
export async function ping(target: Target & { peer: string; count: number }): Promise<ExitCode> {
  const client = await clientOf(target)
  const replies: (PingReply | null)[] = []
  for (let sequence = 1; sequence <= target.count; sequence += 1) {
    if (sequence > 1) await delay(intervalMs)
    let reply: PingReply | null = null
    try {
      const { rttMs, kind, local, remote } = await client.ping(target.peer)
      reply = { rttMs, kind, local, remote }
    } catch (error) {
      if (!(error instanceof WhalescaleError) || error.code !== 'PeerUnreachable') throw error
    }
    replies.push(reply)
    if (!target.json) print(lineOf(target.peer, sequence, reply))
  }
  if (target.json) printJson({ schema: schemaVersion, peer: target.peer, replies })
  else print(summaryOf(replies))
  return replies.some((reply) => reply !== null) ? ExitCode.ok : ExitCode.unreachable
}
