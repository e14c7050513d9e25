/**
 * The last-known-good cache: what a start needs when nobody can be asked. One lmdb file in the state
 * directory, whole at any instant. What is acknowledged is on the disk: `storeSequence` when it
 * returns, `put` when its promise resolves. A file that is not ours is set aside, never repaired.
 */
import { execFile } from 'node:child_process'
import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { WhalescaleError, messageOf } from '../errors.js'
import { lkgProbe } from '../programs.js'
import type { Database } from './database.js'
import { bounded, byUse, encodeEntry, keys, mostPeers, storeVersion } from './entry.js'
import type { CachedPeer } from './entry.js'

export type { CachedEndpoint, CachedPeer } from './entry.js'

/**
 * Reading a full cache takes milliseconds; a damaged one may never end. A sound one must not be taken
 * for damaged because the machine is busy starting everything else; the tunnel does not wait for it.
 */
const probeTimeoutMs = 30_000

export const storeFile = (directory: string): string => join(directory, 'lkg.mdb')

export type Opened = {
  readonly store: Store
  /** Why an older file was set aside, and where it is now. */
  readonly warning: string | undefined
}

/**
 * Opens the cache of a state directory, or begins a new one.
 * @throws WhalescaleError StateUnusable when the directory cannot hold one
 */
export async function openStore(directory: string): Promise<Opened> {
  const file = storeFile(directory)
  const problem = existsSync(file) ? await problemOf(file) : undefined
  const aside = `${file}.damaged`
  try {
    if (problem !== undefined) {
      renameSync(file, aside)
      rmSync(`${file}-lock`, { force: true })
    }
    const { openDatabase, readDatabase } = await import('./database.js')
    const database = openDatabase(file)
    const content = readDatabase(database)
    if ('problem' in content) throw new Error(content.problem)
    database.putSync(keys.version, encodeEntry(storeVersion))
    const warning =
      problem === undefined
        ? undefined
        : `${file} is no cache of ours: ${problem}; kept as ${aside}`
    return { store: new Store(database, content.sequence, content.peers), warning }
  } catch (error) {
    throw new WhalescaleError(`${file} cannot be used: ${messageOf(error)}`, {
      code: 'StateUnusable',
      remedy: 'make state_dir a directory that the agent owns, with free space',
      cause: error,
    })
  }
}

/** Why a file is not a sound cache, found out at a distance; undefined when it is one. */
function problemOf(file: string): Promise<string | undefined> {
  const copy = `${file}.probe`
  return new Promise((resolve) => {
    const options = { timeout: probeTimeoutMs, killSignal: 'SIGKILL' as const }
    execFile(process.execPath, [lkgProbe, file, copy], options, (error, _, stderr) => {
      for (const made of [copy, `${copy}-lock`]) rmSync(made, { force: true })
      if (error === null) resolve(undefined)
      else resolve(stderr === '' ? 'it is damaged' : stderr.slice(0, 200))
    })
  })
}

export class Store {
  readonly #database: Database
  readonly #peers: Map<string, CachedPeer>
  #sequence: number

  constructor(database: Database, sequence: number, peers: readonly CachedPeer[]) {
    this.#database = database
    this.#sequence = sequence
    this.#peers = new Map(peers.map((peer) => [peer.id, peer]))
  }

  /** The last sequence number of our own record that may have been sent. */
  get sequence(): number {
    return this.#sequence
  }

  get peers(): ReadonlyMap<string, CachedPeer> {
    return this.#peers
  }

  /** On the disk when it returns. Never goes back. */
  storeSequence(sequence: number): void {
    if (sequence <= this.#sequence) return
    this.#database.putSync(keys.sequence, encodeEntry(sequence))
    this.#sequence = sequence
  }

  /** Keeps a peer, in place of the least useful one when there are too many; resolves when durable. */
  async put(peer: CachedPeer): Promise<void> {
    const kept = bounded(peer)
    this.#peers.set(kept.id, kept)
    const evicted = this.#peers.size > mostPeers ? this.#leastUseful(kept.id) : undefined
    if (evicted !== undefined) this.#peers.delete(evicted)
    await this.#database.batch(() => {
      void this.#database.put(keys.peer(kept.id), encodeEntry(kept))
      if (evicted !== undefined) void this.#database.remove(keys.peer(evicted))
    })
  }

  /** Resolves when everything is written and the file is closed. */
  close(): Promise<void> {
    return this.#database.close()
  }

  #leastUseful(except: string): string | undefined {
    const others = [...this.#peers.values()].filter(({ id }) => id !== except)
    return others.reduce<CachedPeer | undefined>(
      (least, peer) => (least === undefined || byUse(peer, least) < 0 ? peer : least),
      undefined,
    )?.id
  }
}
