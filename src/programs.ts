/**
 * Programs that run in processes of their own, as files. This module lies at the root of the built
 * files, and so does whatever it is bundled into, so the paths hold in both.
 */
import { fileURLToPath } from 'node:url'

/** Finds out whether a cache file is sound (src/lkg/probe.ts). */
export const lkgProbe = fileURLToPath(new URL('./lkg/probe.js', import.meta.url))
