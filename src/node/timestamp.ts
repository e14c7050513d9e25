/**
 * The TAI64N timestamp of the last handshake, kept across restarts: a peer refuses an initiation that
 * is not newer than the last it saw (WireGuard whitepaper section 5.1), even if our clock went back.
 * The file is whole at any instant, also after kill -9.
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { WhalescaleError, messageOf, systemCode } from '../errors.js'

/** 12 bytes, big-endian, in hexadecimal. */
const format = /^[0-9a-f]{24}$/

function failure(path: string, error: unknown): WhalescaleError {
  return new WhalescaleError(`${path}: ${messageOf(error)}`, {
    code: 'StateUnusable',
    remedy: 'make state_dir a directory that the agent owns, mode 0700',
    cause: error,
  })
}

/** Makes the directory of the state, readable by its owner only. */
export function makeStateDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw failure(directory, error)
  }
}

const fileOf = (directory: string): string => join(directory, 'timestamp')

/** The stored timestamp, or undefined when there is none yet. */
export function readTimestamp(directory: string): string | undefined {
  const path = fileOf(directory)
  let text: string
  try {
    text = readFileSync(path, 'utf8').trim()
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw failure(path, error)
  }
  if (!format.test(text)) {
    throw new WhalescaleError(`${path} holds no timestamp`, {
      code: 'StateUnusable',
      remedy: 'restore it; without it peers may refuse handshakes until the clock has passed it',
    })
  }
  return text
}

/** Replaces the stored timestamp; it is on the disk when this returns. */
export function writeTimestamp(directory: string, value: string): void {
  const path = fileOf(directory)
  const temporary = `${path}.new`
  try {
    const fd = openSync(temporary, 'w', 0o600)
    try {
      writeSync(fd, `${value}\n`)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, path)
    const parent = openSync(dirname(path), 'r')
    try {
      fsyncSync(parent)
    } finally {
      closeSync(parent)
    }
  } catch (error) {
    throw failure(path, error)
  }
}
