/**
 * Keeps the table of configuration keys in README.md equal to the schema. Without arguments a
 * difference is an error; with --write the table is replaced. Needs dist/.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { configurationMarkdown } from '#src/config/reference.js'

const readme = fileURLToPath(new URL('../README.md', import.meta.url))
const [start, end] = ['<!-- configuration -->', '<!-- /configuration -->']

const text = readFileSync(readme, 'utf8')
const from = text.indexOf(start)
const to = text.indexOf(end)
if (from < 0 || to < from) throw new Error(`README.md lacks ${start} and ${end}`)

const wanted = `${text.slice(0, from)}${start}\n${configurationMarkdown()}\n${text.slice(to)}`
if (process.argv.includes('--write')) {
  writeFileSync(readme, wanted)
} else if (text !== wanted) {
  console.error('README.md differs from the schema: run node scripts/readme.js --write')
  process.exitCode = 1
}
