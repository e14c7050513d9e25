/**
 * Keeps native/addon/index.d.ts, which is committed, equal to what napi-rs generates from the Rust
 * source. Without arguments a difference is an error; with --write the committed file is replaced.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const generated = fileURLToPath(new URL('../build/Release/addon.d.ts', import.meta.url))
const committed = fileURLToPath(new URL('../native/addon/index.d.ts', import.meta.url))

const wanted = readFileSync(generated, 'utf8')
if (process.argv.includes('--write')) {
  writeFileSync(committed, wanted)
} else if (readFileSync(committed, 'utf8') !== wanted) {
  console.error(
    'native/addon/index.d.ts differs from the addon: run node scripts/addon-types.js --write',
  )
  process.exitCode = 1
}
