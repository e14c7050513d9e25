/**
 * The event stream: one JSON document per line, first what holds now, then each change. A client that
 * does not read loses events, never the agent's memory: it is told how many.
 */
import type { ServerResponse } from 'node:http'
import type { Agent } from '../node/agent.js'
import type { NodeEvent } from '../node/events.js'
import { schemaVersion } from '../node/views.js'
import type { PeerView } from '../node/views.js'

/** Some thousands of events: a burst, such as joining, and a client that hesitates. */
const largestBacklog = 1024 * 1024
/** Dashboards and scripts of one machine. */
const mostStreams = 16

/** What holds now, told as if it had just happened. */
function present({ name: peer, nodeId, state, endpoint, mesh }: PeerView): NodeEvent[] {
  const session: NodeEvent = { type: 'peer', peer, nodeId, state, endpoint }
  if (mesh === null || nodeId === null) return [session]
  const { state: place, suspected, candidates: endpoints } = mesh
  return [
    session,
    { type: 'member', peer, nodeId, state: place, suspected },
    { type: 'endpoints', peer, nodeId, endpoints },
  ]
}

export type Streams = {
  /** Answers with the stream; false when there are too many already. */
  add(response: ServerResponse): boolean
  /** Ends all of them. */
  close(): void
}

export function streamsOf(agent: Pick<Agent, 'events' | 'status'>): Streams {
  const open = new Set<ServerResponse>()

  const follow = (response: ServerResponse): void => {
    let dropped = 0
    const write = (event: NodeEvent | { type: 'dropped'; count: number }): void => {
      const time = new Date().toISOString()
      response.write(`${JSON.stringify({ schema: schemaVersion, time, ...event })}\n`)
    }
    const tell = (event: NodeEvent): void => {
      if (response.writableLength > largestBacklog) {
        dropped += 1
        return
      }
      if (dropped > 0) write({ type: 'dropped', count: dropped })
      dropped = 0
      write(event)
    }
    const { mesh, peers } = agent.status()
    if (mesh !== null) tell({ type: 'phase', phase: mesh.phase })
    for (const peer of peers) for (const event of present(peer)) tell(event)
    const stop = agent.events.listen(tell)
    response.once('close', () => {
      stop()
      open.delete(response)
    })
  }

  return {
    add: (response) => {
      if (open.size >= mostStreams) return false
      open.add(response)
      response.writeHead(200, { 'content-type': 'application/x-ndjson', connection: 'close' })
      // Without it the head waits for the first event.
      response.flushHeaders()
      follow(response)
      return true
    },
    close: () => {
      for (const response of open) {
        // Who does not read must not keep the agent from ending.
        if (response.writableLength > 0) response.destroy()
        else response.end()
      }
    },
  }
}
