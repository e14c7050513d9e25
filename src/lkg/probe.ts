/**
 * A program of its own: finds out whether a file is a sound cache by using a copy of it, reading
 * everything and writing once. A damaged file may crash it, and then it crashes nobody else; the copy
 * is its caller's to remove.
 * Exit 0 is sound; otherwise the reason is on standard error, if there was time for it.
 */
import { copyFileSync, statSync } from 'node:fs'
import { messageOf } from '../errors.js'
import { openDatabase, readDatabase } from './database.js'
import { encodeEntry, keys } from './entry.js'

/** The map of the store is half of this; a larger file is not one that we wrote. */
const largestFile = 64 * 1024 * 1024

async function problemOf(file: string, copy: string): Promise<string | undefined> {
  if (statSync(file).size > largestFile) return 'it is too large'
  copyFileSync(file, copy)
  const database = openDatabase(copy)
  const content = readDatabase(database)
  if ('problem' in content) return content.problem
  database.putSync(keys.sequence, encodeEntry(content.sequence))
  await database.close()
  return undefined
}

const [file = '', copy = ''] = process.argv.slice(2)
const problem = await problemOf(file, copy).catch(messageOf)
if (problem !== undefined) process.stderr.write(problem)
process.exitCode = problem === undefined ? 0 : 1
