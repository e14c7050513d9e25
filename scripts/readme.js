/**
 * Keeps the generated parts of README.md equal to what they come from: the table of configuration keys
 * to the schema, the tables of speeds and of bonding to the last runs of the bench. Without arguments a difference
 * is an error; with --write the parts are replaced. Needs dist/ and build/tsc/.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { configurationMarkdown } from '#src/config/reference.js'
import { multipathMarkdown } from '../build/tsc/bench/multipath/markdown.js'
import { throughputMarkdown } from '../build/tsc/bench/throughput/markdown.js'

const readme = fileURLToPath(new URL('../README.md', import.meta.url))
/** @param {string} name */
const figures = (name) => fileURLToPath(new URL(`../bench/results/${name}.json`, import.meta.url))

/** @type {Record<string, string>} by the name in the markers around it */
const parts = { configuration: configurationMarkdown() }
for (const { part, file, markdown } of [
  { part: 'bench', file: figures('throughput'), markdown: throughputMarkdown },
  { part: 'multipath', file: figures('multipath-bars'), markdown: multipathMarkdown },
]) {
  if (existsSync(file)) parts[part] = markdown(readFileSync(file, 'utf8'))
}

const text = readFileSync(readme, 'utf8')
const wanted = Object.entries(parts).reduce((all, [name, content]) => {
  const [start, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const [from, to] = [all.indexOf(start), all.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`README.md lacks ${start} and ${end}`)
  return `${all.slice(0, from)}${start}\n${content}\n${all.slice(to)}`
}, text)

if (process.argv.includes('--write')) {
  writeFileSync(readme, wanted)
} else if (text !== wanted) {
  console.error('README.md differs from its sources: run node scripts/readme.js --write')
  process.exitCode = 1
}
