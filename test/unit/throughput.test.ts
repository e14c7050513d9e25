/** What the bench of speed says of its bars, in a result and in the README. */
import t from 'tap'
import { judge } from '../../bench/throughput/bars.js'
import { throughputMarkdown } from '../../bench/throughput/markdown.js'
import type { MetricName } from '../../bench/throughput/metric.js'
import type { PeerResult, Result } from '../../bench/throughput/result.js'
import type { Verdict } from '../../bench/throughput/verdict.js'

function peer(name: string, medians: Partial<Record<MetricName, number>>): PeerResult {
  const summary = Object.fromEntries(
    Object.entries(medians).map(([metric, median]) => [
      metric,
      { median, min: median, max: median, count: 1 },
    ]),
  )
  return { name, version: '1', unavailable: null, rounds: [], summary, failures: [], agent: null }
}

function verdict(peers: readonly PeerResult[], metric: MetricName, against: string): Verdict {
  const found = judge(peers).find(
    (each) => each.subject === 'whalescale' && each.metric === metric && each.against === against,
  )
  if (found === undefined) throw new Error(`no bar for ${metric}`)
  return found
}

const slow = peer('wireguard-go', { tcpOne: 2, pingIdle: 0.4 })
const quick = peer('boringtun', { tcpOne: 1, pingIdle: 0.25 })

t.test('a bar is missed, reached, or reached with its goal', (t) => {
  const at = (gbits: number): string =>
    verdict([peer('whalescale', { tcpOne: gbits }), slow], 'tcpOne', 'wireguard-go').outcome
  t.same([at(3.5), at(3.7), at(5)], ['miss', 'pass', 'goal'])
  t.end()
})

t.test('the best peer is the one with the least delay', (t) => {
  const own = peer('whalescale', { pingIdle: 0.5 })
  t.match(verdict([own, slow, quick], 'pingIdle', 'best peer'), {
    outcome: 'miss',
    value: 2,
    note: 'boringtun',
  })
  t.end()
})

t.test('a bar without a figure of the other peer does not count as reached', (t) => {
  const own = peer('whalescale', { tcpOne: 9 })
  t.match(verdict([own], 'tcpOne', 'wireguard-go'), { outcome: 'unknown', value: null })
  t.end()
})

t.test('the README names each bar that was not reached', (t) => {
  const own = peer('whalescale', { tcpOne: 9, pingIdle: 0.5 })
  const peers = [own, slow, quick]
  const result: Result = {
    schema: 1,
    bench: 'throughput',
    provenance: {
      date: '2026-01-01T00:00:00.000Z',
      cpu: 'cpu',
      cores: 2,
      memoryMB: 1,
      kernel: '6',
      commit: 'abc',
      modified: false,
      loadBefore: 0,
      iperf3: 'iperf3',
      node: 'v20',
    },
    settings: {
      rounds: 1,
      loadSeconds: 1,
      idlePingSeconds: 1,
      quietSeconds: 1,
      idleCpuSeconds: 1,
      startUpTries: 1,
      patienceSeconds: 0,
      quick: false,
      innerMtu: 1420,
    },
    peers,
    bars: judge(peers).filter(({ metric }) => metric === 'tcpOne' || metric === 'pingIdle'),
  }
  const text = throughputMarkdown(JSON.stringify(result))
  t.match(text, 'Of 5 ratios and limits that this project sets itself, 1 are reached. Not yet:')
  t.match(text, '- Ping, idle, mean, whalescale: **2.00** times boringtun, has to be at most 1.00')
  t.match(text, '- One TCP flow, whalescale-ring: not measured, ')
  t.end()
})
