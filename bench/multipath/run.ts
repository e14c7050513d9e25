/**
 * One run of the bench: scenario by scenario, seed by seed, all contestants of a scenario turn by turn.
 * Invariants: the links of a seed are equal for all contestants; each path alone is measured once per seed and
 * shared by the scenarios; nothing outlives the run.
 */
import { createLab } from '#src/cli/demo/lab.js'
import { withDirectory } from '../directory.js'
import { provenance } from '../machine.js'
import { reasonOf } from '../reason.js'
import { isDisturbed, watched } from '../steal.js'
import { makeBed, type Bed } from './bed.js'
import { mptcp, plainTcp, whalescale, type Carrier, type Scheduler } from './carriers.js'
import { buildEmulator, type Link } from '#src/cli/demo/emulator.js'
import { judge } from './judge.js'
import { MEASURES, type Measured } from './measure.js'
import { seedsOf } from './mode.js'
import { replay } from './replay.js'
import { ContestantRecord, type Result, type ScenarioResult, type Settings } from './result.js'
import type { Scenario } from './scenario.js'

interface Contestant {
  readonly name: string
  readonly carrier: Carrier
  readonly links: readonly Link[]
  /** Whalescale over all links, which the others are there to be compared with. */
  readonly own: boolean
}

type Report = (line: string) => void

/** What a run needs to know and to remember. */
interface Campaign {
  readonly bed: Bed
  readonly settings: Settings
  readonly schedulers: readonly Scheduler[]
  /** Goodput of single paths, by link, topology, congestion control and seed. */
  readonly alone: Map<string, Measured>
  readonly report: Report
}

/** `report` is told what happens, one line at a time. */
export async function runMultipath(
  scenarios: readonly Scenario[],
  schedulers: readonly Scheduler[],
  settings: Settings,
  report: Report,
): Promise<Result> {
  const lab = await createLab()
  const origin = await provenance()
  report('the link emulator: building it if need be')
  await buildEmulator()
  const results = await withDirectory(async (directory) => {
    try {
      const bed = await makeBed(lab, directory)
      const campaign = { bed, settings, schedulers, alone: new Map<string, never>(), report }
      const played: ScenarioResult[] = []
      for (const scenario of scenarios) {
        played.push(await play(campaign, scenario, seedsOf(scenario, settings)))
      }
      const until = performance.now() + settings.patienceSeconds * 1000
      return await replay(
        played,
        (scenario, seeds) => play(campaign, scenario, seeds),
        () => performance.now() < until,
      )
    } finally {
      await lab.close()
    }
  })
  const main = schedulers[0] ?? 'edpf'
  const bars = judge(results, main)
  return {
    schema: 1,
    bench: 'multipath',
    provenance: origin,
    settings,
    scenarios: results,
    bars,
  }
}

async function play(
  campaign: Campaign,
  scenario: Scenario,
  seeds: readonly number[],
): Promise<ScenarioResult> {
  const singles = scenario.links.map((_, i) => new ContestantRecord(`alone ${i + 1}`))
  const contestants = contestantsOf(scenario, campaign)
  const records = new Map(contestants.map(({ name }) => [name, new ContestantRecord(name)]))
  for (const seed of seeds) {
    const label = `${scenario.name} ${seed}`
    const alone = await measureAlone(campaign, scenario, seed, singles, label)
    if (alone === undefined) continue
    const { controls } = campaign.settings
    for (const contestant of contestants.filter(({ own }) => own || seed <= controls)) {
      campaign.report(`${label}: ${contestant.name}`)
      const record = records.get(contestant.name)
      try {
        const { measured, paths } = await measure(campaign, scenario, contestant, seed, alone)
        record?.add(seed, measured, paths)
      } catch (error) {
        record?.failed(seed, reasonOf(error))
      }
    }
  }
  const measuredSingles = singles.map((record) => record.finish())
  return {
    ...scenario,
    contestants: [
      ...measuredSingles.filter(({ runs, failures }) => runs.length + failures.length > 0),
      ...[...records.values()].map((record) => record.finish()),
    ],
  }
}

async function measure(
  { bed, settings }: Campaign,
  scenario: Scenario,
  { carrier, links }: Contestant,
  seed: number,
  singles: Singles,
): Promise<{ measured: Measured; paths: unknown }> {
  const { congestionControl, kind, topology } = scenario
  const { value, stolen } = await watched(() =>
    bed.run({ links, topology, seed, congestionControl, carrier }, async (carried, emulator) => {
      const { route } = carried
      const { goodputs: alone } = singles
      const stage = { scenario, durations: settings, seed, route, emulator, alone }
      const measured = await MEASURES[kind](stage)
      return { measured, paths: await carried.describe() }
    }),
  )
  const { measured, paths } = value
  const figures = { ...measured.figures, stolen: Math.max(stolen, singles.stolen) }
  return { measured: { ...measured, figures }, paths }
}

/** What each path of a scenario carries alone. */
interface Singles {
  /** Mbit/s; empty where nothing is compared with it. */
  readonly goodputs: readonly number[]
  /** The largest share of the processors' time that the host took from one of them, percent. */
  readonly stolen: number
}

const NO_SINGLES: Singles = { goodputs: [], stolen: 0 }

const needsSingles = ({ kind, links, udpMbit }: Scenario): boolean =>
  links.length > 1 && kind !== 'rpc' && udpMbit === undefined

/** Undefined when one of the paths could not be measured, which its record tells. */
async function measureAlone(
  campaign: Campaign,
  scenario: Scenario,
  seed: number,
  singles: readonly ContestantRecord[],
  label: string,
): Promise<Singles | undefined> {
  if (!needsSingles(scenario)) return NO_SINGLES
  const goodputs: number[] = []
  let stolen = 0
  const repeated = seed > campaign.settings.controls
  for (const [i, link] of scenario.links.entries()) {
    const record = singles[i]
    campaign.report(`${label}: ${record?.name ?? ''}`)
    try {
      const measured = await single(campaign, scenario, link, repeated ? 1 : seed)
      if (!repeated) record?.add(seed, measured, null)
      goodputs.push(measured.figures.goodput ?? 0)
      stolen = Math.max(stolen, measured.figures.stolen ?? 0)
    } catch (error) {
      record?.failed(seed, reasonOf(error))
    }
  }
  return goodputs.length === scenario.links.length ? { goodputs, stolen } : undefined
}

/** Measured once per seed, unless the host disturbed it. */
async function single(
  campaign: Campaign,
  scenario: Scenario,
  link: Link,
  seed: number,
): Promise<Measured> {
  const key = JSON.stringify([link, scenario.topology, scenario.congestionControl, seed])
  const known = campaign.alone.get(key)
  if (known !== undefined) return known
  const contestant = { name: 'alone', carrier: whalescale('edpf'), links: [link], own: false }
  const load: Scenario = { ...scenario, kind: 'goodput' }
  const { measured } = await measure(campaign, load, contestant, seed, NO_SINGLES)
  if (!isDisturbed(measured.figures.stolen ?? 0)) campaign.alone.set(key, measured)
  return measured
}

function contestantsOf(
  { kind, links, scheduler }: Scenario,
  { schedulers, settings }: Campaign,
): Contestant[] {
  const own = (scheduler === undefined ? schedulers : [scheduler]).map((name) => ({
    name,
    carrier: whalescale(name),
    links,
    own: true,
  }))
  if (kind === 'udpCut' || kind === 'udpReturn') return own
  const bare = { links, own: false }
  if (links.length === 1) return [{ name: 'plain tcp', carrier: plainTcp, ...bare }, ...own]
  const control = { name: 'mptcp', carrier: mptcp, ...bare }
  const pipe = { name: 'one pipe', carrier: whalescale('edpf'), links: [pipeOf(links)], own: false }
  const isComparable = kind === 'goodput' && links.every(({ course }) => course === undefined)
  return isComparable && settings.mode === 'full' ? [control, pipe, ...own] : [control, ...own]
}

/** One link of the summed rate and the mean delay, weighted by rate; loss and queue are the first link's. */
function pipeOf(links: readonly Link[]): Link {
  const rate = links.reduce((sum, link) => sum + link.rate, 0)
  const delay = links.reduce((sum, link) => sum + link.delay * link.rate, 0) / rate
  return { queue: 0, ...links[0], rate, delay }
}
