/** A mesh of real agents: finding each other, losing one, moving one, and starting from the cache. */
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { peerOf, up } from '../bed/agent.js'
import type { Agent } from '../bed/agent.js'
import { makeBed, whalescale } from '../bed/bed.js'
import type { Bed } from '../bed/bed.js'
import {
  addressOf,
  answers,
  configureMesh,
  converged,
  makeLan,
  nameOf,
  overlayOf,
  sees,
  upAll,
} from '../bed/mesh.js'
import type { Lan } from '../bed/mesh.js'
import { unless } from './requirements.js'

const skip = unless()
const options = { skip, timeout: 200_000 }
const count = 5
/** A bound on a loaded machine; the bench measures how long things take. */
const patienceMs = 60_000

type Mesh = { bed: Bed; lan: Lan; agents: Agent[] }

/** The first tests share these nodes, in this order. */
const shared: Promise<Mesh> =
  skip === false
    ? makeBed(t).then(async (bed) => {
        const lan = await makeLan(bed, count)
        return { bed, lan, agents: await upAll(await configureMesh(bed, lan)) }
      })
    : Promise.reject(new Error(skip))
shared.catch(() => undefined)

const at = (agents: readonly Agent[], index: number): Agent => {
  const agent = agents[index]
  if (agent === undefined) throw new Error(`there is no node ${index}`)
  return agent
}

void t.test('nodes that know one anchor learn where all others are', options, async (t) => {
  const { agents } = await shared
  await converged(agents, patienceMs)
  for (const agent of agents) {
    await answers(agent, overlayOf((Number(agent.name.slice(1)) + 1) % count), patienceMs)
  }
  const status = await at(agents, 1).client.status()
  t.match(status.mesh, { phase: 'joined', anchors: { live: [nameOf(0)] } })
})

void t.test(
  '"check" asks a peer here and at another peer, and tells when none answers',
  options,
  async (t) => {
    const { agents } = await shared
    const [asking, target] = [at(agents, 1), nameOf(2)]
    const run = (...args: string[]) =>
      whalescale(asking.namespace, ['check', ...args, '--socket', asking.controlSocket])
    t.match(await run(target), { code: 0, stdout: /^n2 is reached in/ })
    t.match(await run(target, '--via', nameOf(3)), { code: 0, stdout: /^n2 is reached by n3 in/ })
    t.match(await run('nobody'), { code: 2 })
  },
)

void t.test('a node that moves is found at its new address by all', options, async () => {
  const { agents, lan } = await shared
  await lan.move(2, '192.0.2.102')
  for (const index of [0, 1, 3, 4]) await answers(at(agents, index), overlayOf(2), patienceMs)
  await lan.move(2, addressOf(2))
  for (const index of [0, 1, 3, 4]) await answers(at(agents, index), overlayOf(2), patienceMs)
})

void t.test('a node that stops is seen to have left', options, async () => {
  const { agents } = await shared
  await at(agents, 4).process.stop()
  for (const index of [0, 1, 2, 3]) await sees(at(agents, index), nameOf(4), 'left', patienceMs)
})

void t.test(
  'a node that is killed is gone at all others, and "check" exits with 4',
  options,
  async (t) => {
    const { agents } = await shared
    at(agents, 3).process.child.kill('SIGKILL')
    for (const index of [0, 1, 2]) await sees(at(agents, index), nameOf(3), 'gone', patienceMs)
    const asking = at(agents, 1)
    const named = ['--socket', asking.controlSocket]
    t.match(await whalescale(asking.namespace, ['check', nameOf(3), ...named]), { code: 4 })
  },
)

void t.test('a node that was killed is back when it speaks again', options, async () => {
  const { agents } = await shared
  const back = await up(at(agents, 3))
  for (const index of [0, 1, 2]) await sees(at(agents, index), nameOf(3), 'joined', patienceMs)
  await answers(back, overlayOf(1), patienceMs)
})

void t.test(
  '"reload" adds and removes peers and leaves the sessions of others alone',
  options,
  async (t) => {
    const { agents } = await shared
    const agent = at(agents, 1)
    const before = (await peerOf(agent, nameOf(0))).latestHandshakeMs
    const text = await agent.namespace.exec('cat', [agent.configFile])
    const [own = '', ...peers] = text.stdout.split('[[peer]]')
    const without = peers.filter((peer) => !peer.includes(`"${nameOf(4)}"`))
    writeFileSync(agent.configFile, [own, ...without].join('[[peer]]'))
    t.match(await whalescale(agent.namespace, ['reload', agent.configFile]), { code: 0 })
    const { peers: left } = await agent.client.peers()
    t.same(
      left.map(({ name }) => name),
      [nameOf(0), nameOf(2), nameOf(3)],
    )
    const after = (await peerOf(agent, nameOf(0))).latestHandshakeMs
    t.ok(before !== null && after !== null && after >= before, 'the session is the same')
  },
)

void t.test('with every anchor dead, a start finds its peers by the cache', options, async (t) => {
  const { agents } = await shared
  const agent = at(agents, 1)
  const names = (await agent.client.lkg()).peers.map(({ name }) => name)
  t.ok(names.includes(nameOf(2)))
  for (const index of [0, 1]) await at(agents, index).process.stop()
  const again = await up(agent)
  await answers(again, overlayOf(2), patienceMs)
})
