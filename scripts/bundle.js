/**
 * Puts `up` with all that it imports into one file, dist/up.cjs, which loads several times faster than
 * the hundred files it is made from, and what V8 compiles of it into dist/up.cache
 * (docs/decisions/0023). Modules inside are still evaluated when first imported. koffi and pino stay
 * outside: they find their own parts beside themselves.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Script } from 'node:vm'
import { build } from 'esbuild'

const filename = fileURLToPath(new URL('../dist/up.cjs', import.meta.url))
const cache = fileURLToPath(new URL('../dist/up.cache', import.meta.url))

// V8 tells a cache from that of another source of equal length by nothing.
rmSync(cache, { force: true })
await build({
  entryPoints: [fileURLToPath(new URL('../dist/cli/start.js', import.meta.url))],
  outfile: filename,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  external: ['koffi', 'pino', 'pino-pretty'],
  // Inside a script that main.ts runs there is neither import.meta nor import().
  define: { 'import.meta.url': 'bundleUrl' },
  supported: { 'dynamic-import': false },
  banner: { js: '(function (require, bundleUrl) { const module = { exports: {} }' },
  footer: { js: 'return module.exports })' },
  logLevel: 'warning',
})

const script = new Script(readFileSync(filename, 'utf8'), { filename })
/** @typedef {typeof import('#src/cli/start.js')} Start */
/** @type {unknown} */
const value = script.runInThisContext()
const load = /** @type {(require: NodeJS.Require, url: string) => Start} */ (value)
const { rehearse } = load(createRequire(filename), pathToFileURL(filename).href)
// The key is the public key of RFC 8032 section 7.1, test 1.
await rehearse(`[node]
private_key_file = "node.key"
addresses = ["10.88.0.1/24"]

[[peer]]
name = "peer"
node_id = "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkena"
endpoints = ["192.0.2.2:51820", "[2001:db8::2]:51820"]
allowed_ips = ["10.88.0.2/32"]
`)
writeFileSync(cache, script.createCachedData())
