/** What `doctor` says of anchors as they go, and of an agent that is not there. */
import t from 'tap'
import type { Agent } from '../bed/agent.js'
import { makeBed, until, whalescale } from '../bed/bed.js'
import { configureMesh, converged, makeLan, upAll } from '../bed/mesh.js'
import { unless } from './requirements.js'

const patienceMs = 60_000

/** Runs `doctor` when the agent has come to the warning. */
async function examined(agent: Agent, warning: string) {
  await until(
    `${agent.name} warns ${warning}`,
    async () => {
      const { mesh } = await agent.client.status()
      return mesh?.anchors.warnings.some(({ code }) => code === warning)
    },
    patienceMs,
  )
  return whalescale(agent.namespace, ['doctor', '--socket', agent.controlSocket])
}

void t.test(
  '"doctor" warns of anchors on one network and of the last one, and fails without any',
  { skip: unless(), timeout: 4 * patienceMs },
  async (t) => {
    const bed = await makeBed(t)
    const agents = await upAll(await configureMesh(bed, await makeLan(bed, 3), 2))
    const [first, second, asked] = agents
    if (first === undefined || second === undefined || asked === undefined) return
    await converged(agents, patienceMs)
    t.match(await examined(asked, 'AnchorsShareNetwork'), {
      code: 0,
      stdout: /^warn {2}anchors: all anchors are on one network.*; make a node on another/m,
    })
    await second.process.stop()
    t.match(await examined(asked, 'OneAnchor'), {
      code: 0,
      stdout: /^warn {2}anchors: one anchor is left.*; set anchor = true/m,
    })
    await first.process.stop()
    t.match(await examined(asked, 'NoAnchor'), {
      code: 1,
      stdout: /^fail {2}anchors: no anchor is reachable.*; set anchor = true/m,
    })
    await asked.process.stop()
    t.match(await whalescale(asked.namespace, ['doctor', '--socket', asked.controlSocket]), {
      code: 3,
      stdout: /^fail {2}agent: no agent answers; start it/m,
    })
  },
)
