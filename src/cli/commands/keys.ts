/** `whalescale keygen` and `id`: keys and the names that follow from them. The addon alone reads keys. */
import { ExitCode, WhalescaleError } from '../../errors.js'
import { loadNative } from '../../native.js'
import type { Identity } from '../../native.js'
import { schemaVersion } from '../../node/views.js'
import { print, printJson } from '../target.js'
import type { Target } from '../target.js'

function show({ json }: Target, identity: Identity): void {
  if (json) {
    printJson({ schema: schemaVersion, ...identity })
    return
  }
  print(`node id: ${identity.nodeId}`)
  print(`wireguard public key: ${identity.wireguardPublicKey}`)
  print(`overlay address: ${identity.overlayIpv6}`)
}

export function keygen(target: Target & { out: string }): Promise<ExitCode> {
  const identity = loadNative().keygen(target.out)
  if (!target.json) print(`private key: ${target.out}`)
  show(target, identity)
  return Promise.resolve(ExitCode.ok)
}

export async function id(target: Target & { keyFile?: string | undefined }): Promise<ExitCode> {
  show(target, loadNative().derive(await keyFileOf(target)))
  return ExitCode.ok
}

async function keyFileOf(target: Target & { keyFile?: string | undefined }): Promise<string> {
  if (target.keyFile !== undefined) return target.keyFile
  if (target.config === undefined) {
    throw new WhalescaleError('no key is named', {
      code: 'Usage',
      remedy: 'give a key file, or a configuration with -c',
      exitCode: ExitCode.usage,
    })
  }
  const { parseConfig, readConfigText } = await import('../../config/load.js')
  return parseConfig(readConfigText(target.config), target.config).config.privateKeyFile
}
