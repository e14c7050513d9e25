/**
 * The lmdb file of the cache: opening, and reading all of it. lmdb maps the file into memory and
 * trusts it, so a damaged one may end the process: only `probe.ts`, in a process of its own, opens a
 * file that has not been found sound.
 */
import { open } from 'lmdb'
import type { RootDatabase } from 'lmdb'
import { decodeEntry, isSequence, keys, peerIn, storeVersion } from './entry.js'
import type { CachedPeer } from './entry.js'

/** 1,024 peers of 3 KiB, and the copies that lmdb writes before it frees old pages. */
const mapSize = 32 * 1024 * 1024

export type Database = RootDatabase<Buffer, string>

/**
 * Writes are on the disk when they are acknowledged: nothing is left to the system's cache. What is
 * made is readable by its owner only.
 */
export function openDatabase(file: string): Database {
  const umask = process.umask(0o077)
  try {
    return open<Buffer, string>({
      path: file,
      noSubdir: true,
      encoding: 'binary',
      overlappingSync: false,
      maxDbs: 1,
      mapSize,
    })
  } finally {
    process.umask(umask)
  }
}

export type Content = { readonly sequence: number; readonly peers: readonly CachedPeer[] }

/** All that is stored, an empty content for a new file, or why it is not ours. */
export function readDatabase(database: Database): Content | { readonly problem: string } {
  let version: unknown
  let sequence: unknown = 0
  const peers: CachedPeer[] = []
  let entries = 0
  for (const { key, value } of database.getRange() as Iterable<{ key: unknown; value: Buffer }>) {
    entries += 1
    const entry = decodeEntry(value)
    const peer = peerIn(entry)
    if (key === keys.version) version = entry
    else if (key === keys.sequence) sequence = entry
    else if (peer !== undefined && key === keys.peer(peer.id)) peers.push(peer)
    else return { problem: `the entry ${String(key).slice(0, 80)} is damaged` }
  }
  if (entries === 0) return { sequence: 0, peers }
  if (version !== storeVersion) return { problem: 'it is of another version' }
  return isSequence(sequence) ? { sequence, peers } : { problem: 'its sequence number is damaged' }
}
